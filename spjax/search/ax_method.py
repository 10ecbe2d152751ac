"""Ax's own multi-objective method on the flat genome, as a baseline.

qLogNEHVI (Ament et al., "Unexpected improvements to expected improvement for Bayesian
optimization", NeurIPS 2023; Daulton et al., NeurIPS 2021), with the models and the
optimiser that Ax 1.3 chooses by itself for the experiment: a Gaussian process per
objective over all genes, those without effect included, size and memory modelled like
the error although they are known. Nothing is inherited. Hyperparameters are fitted in
fewer steps than Ax would take, the expectation is taken over fewer samples and
maximised from fewer starts: a fifth of the time, for points of somewhat less worth
(docs/benchmarks.md, "Choosing the next genome").

A point that is no network for the image, or breaks a limit, is brought to the nearest
genome that is and does not: kernels that do not fit are padded, and edits are made
downhill. Importing this module does not import Ax.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spjax import genomes
from spjax.genomes import Genome, GenomeError
from spjax.search.drawing import draw_feasible, nearest_feasible
from spjax.search.observation import Observation, Proposal, feasible
from spjax.search.settings import Settings

if TYPE_CHECKING:
    from ax.adapter.torch import TorchAdapter
    from ax.core.data import Data
    from ax.core.experiment import Experiment

_MC_SAMPLES = 16
_RESTARTS = 4


def ax_proposal(
    settings: Settings,
    observations: Sequence[Observation],
    index: int,
    experiment: "Experiment",
    data: "Data",
) -> Proposal:
    """Chooses what trial ``index`` is to train.

    Args:
      settings: the search.
      observations: all trials so far, those under way included.
      index: number of the new trial.
      experiment: the same trials as Ax keeps them.
      data: its data.

    Returns:
      The proposal, without a parent.

    Raises:
      InfeasibleError: if no new genome within the limits can be found.
    """
    rng = np.random.default_rng([settings.seed, index])
    taken = {o.genome for o in observations}
    enough = len(feasible(settings, observations)) >= 3
    if index >= settings.initial_trials and enough:
        genome = _generated(settings, index, experiment, data)
        valid = None if genome is None else _valid(genome, settings)
        found = valid and nearest_feasible(rng, settings, valid, taken)
        if found:
            edit = "qlognehvi" if found == genome else "qlognehvi+repair"
            return Proposal(found, None, edit)
    return Proposal(draw_feasible(rng, settings, taken), None, "random")


def best_point(
    seed: int,
    experiment: "Experiment",
    data: "Data",
    *,
    samples: int = _MC_SAMPLES,
    restarts: int = _RESTARTS,
    brief: bool = True,
) -> tuple["TorchAdapter", dict[str, Any]]:
    """Fits Ax's models to finished trials and finds the point of most promise.

    While no trial is within all limits and soft bounds, Ax looks for the point that is
    most likely to be.

    Args:
      seed: of PyTorch's random numbers.
      experiment: its search space and its trials, those under way included.
      data: of the finished trials.
      samples: that the expected improvement is taken over; Ax's own number is 128.
      restarts: starting points of its maximisation; Ax's own number is 20.
      brief: whether the hyperparameters' fit is cut short; Ax does not.

    Returns:
      The models, and the point as Ax writes it.
    """
    import torch
    from ax.adapter.registry import Generators
    from ax.core.utils import extract_pending_observations
    from ax.generators.torch.botorch_modular.surrogate import (
        ModelConfig,
        SurrogateSpec,
    )
    from botorch.acquisition.multi_objective.logei import (
        qLogNoisyExpectedHypervolumeImprovement,
    )

    from spjax.search._ax_model import BrieflyFittedGP

    model = ModelConfig(botorch_model_class=BrieflyFittedGP if brief else None)
    acquisition = {}
    if _within(experiment, data):
        acquisition = {
            "botorch_acqf_class": qLogNoisyExpectedHypervolumeImprovement,
            "botorch_acqf_options": {"mc_samples": samples},
        }
    # A second thread doubles the CPU time, and stalls where another process computes.
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        adapter = Generators.BOTORCH_MODULAR(
            experiment=experiment,
            data=data,
            fit_tracking_metrics=False,
            surrogate_spec=SurrogateSpec(model_configs=[model]),
            **acquisition,
        )
        run = adapter.gen(
            n=1,
            pending_observations=extract_pending_observations(experiment),
            model_gen_options={"optimizer_kwargs": {"num_restarts": restarts}},
        )
    return adapter, run.arms[0].parameters


def _within(experiment: "Experiment", data: "Data") -> bool:
    """Whether a finished trial is within all limits and soft bounds, if any."""
    constraints = experiment.optimization_config.all_constraints
    most = {name: c.bound for c in constraints for name in c.metric_names}
    seen = data.df[data.df["metric_name"].isin(most)]
    inside = seen[seen["mean"] <= seen["metric_name"].map(most)]
    return not most or bool((inside["trial_index"].value_counts() == len(most)).any())


def _generated(
    settings: Settings, index: int, experiment: "Experiment", data: "Data"
) -> Genome | None:
    seed = settings.seed * 1_000_003 + index
    _, point = best_point(seed, experiment, data)
    try:
        return genomes.canonical(genomes.from_flat(point))
    except GenomeError:
        return None


def _valid(genome: Genome, settings: Settings) -> Genome | None:
    """The genome, padded and with smaller windows as far as the image asks for it."""
    for attempt in (genome, _padded(genome), _padded(genome, pools=False)):
        try:
            genomes.validate(attempt, settings.input_shape)
            genomes.check_within(attempt, settings.bounds)
            return genomes.canonical(attempt)
        except GenomeError:
            continue
    return None


def _padded(genome: Genome, pools: bool = True) -> Genome:
    def block(old: genomes.Block) -> genomes.Block:
        convs = tuple(dataclasses.replace(c, padding="SAME") for c in old.convs)
        pool = old.pool if pools else genomes.Pool("none")
        return dataclasses.replace(old, convs=convs, pool=pool)

    return dataclasses.replace(genome, blocks=tuple(map(block, genome.blocks)))
