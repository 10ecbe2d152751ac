"""Training: jitted masked updates, one run at a time."""

from spjax.training.cache import use_compilation_cache
from spjax.training.config import TrainConfig
from spjax.training.errors import TrainingError
from spjax.training.evaluate import error_of, error_rate, predict
from spjax.training.sparsify import sparsify
from spjax.training.step import (
    Settings,
    TrainState,
    init_state,
    make_settings,
    make_step,
    masks_of,
)
from spjax.training.train import TrainResult, kernel_sparsity, train

__all__ = [
    "Settings",
    "TrainConfig",
    "TrainResult",
    "TrainState",
    "TrainingError",
    "error_of",
    "error_rate",
    "init_state",
    "kernel_sparsity",
    "make_settings",
    "make_step",
    "masks_of",
    "predict",
    "sparsify",
    "train",
    "use_compilation_cache",
]
