"""Training: jitted masked updates, one run at a time."""

from spjax.training.cache import use_compilation_cache
from spjax.training.config import TrainConfig
from spjax.training.errors import TrainingError
from spjax.training.evaluate import error_of, error_rate, predict
from spjax.training.prune_plan import prune_plan
from spjax.training.sparsify import dense_masks, genome_masks
from spjax.training.step import (
    Settings,
    TrainState,
    init_state,
    make_settings,
    make_step,
    with_masks,
)
from spjax.training.train import TrainResult, kernel_sparsity, train

__all__ = [
    "Settings",
    "TrainConfig",
    "TrainResult",
    "TrainState",
    "TrainingError",
    "dense_masks",
    "error_of",
    "error_rate",
    "genome_masks",
    "init_state",
    "kernel_sparsity",
    "make_settings",
    "make_step",
    "predict",
    "prune_plan",
    "train",
    "use_compilation_cache",
    "with_masks",
]
