"""Training: jitted masked updates, one run at a time or many of one architecture."""

from spjax.training.batches import mirrored
from spjax.training.cache import use_compilation_cache
from spjax.training.config import TrainConfig
from spjax.training.errors import TrainingError
from spjax.training.evaluate import error_of, error_rate, predict
from spjax.training.noisy_layers import (
    mean_params,
    noisy_layers,
    noisy_params,
    removed_share,
)
from spjax.training.noisy_step import (
    NoisySettings,
    NoisyState,
    init_noisy_state,
    make_noisy_settings,
    make_noisy_step,
    settle,
)
from spjax.training.population import Member, train_population
from spjax.training.prune_plan import prune_plan
from spjax.training.readings import Reading, noise_of, read_at
from spjax.training.recalibrate import recalibrate
from spjax.training.result import TrainResult, kernel_sparsity
from spjax.training.sparsify import dense_masks, genome_masks
from spjax.training.step import (
    Settings,
    TrainState,
    init_state,
    make_settings,
    make_step,
    step_function,
    with_masks,
)
from spjax.training.train import train
from spjax.training.warp import warp

__all__ = [
    "Member",
    "NoisySettings",
    "NoisyState",
    "Reading",
    "Settings",
    "TrainConfig",
    "TrainResult",
    "TrainState",
    "TrainingError",
    "dense_masks",
    "error_of",
    "error_rate",
    "genome_masks",
    "init_noisy_state",
    "init_state",
    "kernel_sparsity",
    "make_noisy_settings",
    "make_noisy_step",
    "make_settings",
    "make_step",
    "mean_params",
    "mirrored",
    "noise_of",
    "noisy_layers",
    "noisy_params",
    "predict",
    "prune_plan",
    "read_at",
    "recalibrate",
    "removed_share",
    "settle",
    "step_function",
    "train",
    "train_population",
    "use_compilation_cache",
    "warp",
    "with_masks",
]
