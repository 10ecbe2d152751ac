"""The search: what to train next, where, and how it is remembered.

Ax, BoTorch and PyTorch are loaded when a study is made, not on import: worker
processes import this room too, and never need them.
"""

from spjax.search.drawing import draw_feasible
from spjax.search.early_stop import StopTable, stop_table
from spjax.search.errors import (
    InfeasibleError,
    SearchError,
    StudyError,
    WorkerError,
)
from spjax.search.measure import measure, program_of
from spjax.search.observation import Observation, Proposal
from spjax.search.pareto import (
    annotate,
    front,
    hypervolume,
    is_feasible,
    non_dominated,
    pick,
)
from spjax.search.progress import StopRule, hypervolumes, hypervolumes_within
from spjax.search.proposals import propose
from spjax.search.readings import further_sparsities, key_of, name_of, spread
from spjax.search.run_file import RUN_FILE, read_run_file
from spjax.search.runner import TrialEvent, run
from spjax.search.scalarise import chebyshev, random_weights, soft_bounds
from spjax.search.settings import (
    ALGORITHMS,
    MEMORY_MODELS,
    PREFERENCES,
    SIZE_MODELS,
    Settings,
)
from spjax.search.stages import starts as stage_starts
from spjax.search.static_cost import static_cost
from spjax.search.study import Study, create, exists, load, read_records
from spjax.search.together import run_trials
from spjax.search.trial import run_trial, start_worker
from spjax.search.trial_row import Trial, genome_of
from spjax.search.trial_spec import (
    TrialSpec,
    data_folder,
    deployed_folder,
    trial_folder,
)
from spjax.search.warm_start import weights_of
from spjax.search.workers import Event, WorkerPool, worker_environment

__all__ = [
    "ALGORITHMS",
    "MEMORY_MODELS",
    "PREFERENCES",
    "RUN_FILE",
    "SIZE_MODELS",
    "Event",
    "InfeasibleError",
    "Observation",
    "Proposal",
    "SearchError",
    "Settings",
    "StopRule",
    "StopTable",
    "Study",
    "StudyError",
    "Trial",
    "TrialEvent",
    "TrialSpec",
    "WorkerError",
    "WorkerPool",
    "annotate",
    "draw_feasible",
    "chebyshev",
    "create",
    "data_folder",
    "deployed_folder",
    "exists",
    "front",
    "further_sparsities",
    "genome_of",
    "hypervolume",
    "hypervolumes",
    "hypervolumes_within",
    "is_feasible",
    "load",
    "key_of",
    "measure",
    "name_of",
    "non_dominated",
    "pick",
    "propose",
    "random_weights",
    "read_records",
    "read_run_file",
    "program_of",
    "run",
    "run_trial",
    "run_trials",
    "soft_bounds",
    "spread",
    "stage_starts",
    "start_worker",
    "static_cost",
    "stop_table",
    "trial_folder",
    "weights_of",
    "worker_environment",
]
