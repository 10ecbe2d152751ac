"""Running statistics of batch norm after more weights have been removed.

Removing weights changes the mean and the variance of what a batch norm sees. The
statistics are taken again from training images, by the training step itself at a
learning rate of zero: its program is there already, and weights stay as they are.
"""

import numpy as np

from spjax import genomes
from spjax.data import Normalisation
from spjax.training.config import TrainConfig
from spjax.training.step import init_state, make_settings, make_step, with_masks

# The running statistics then hold a tenth of the old ones.
_STEPS = 22


def recalibrate(
    genome: genomes.Genome,
    variables: dict,
    masks: dict,
    images: np.ndarray,
    num_classes: int,
    normalisation: Normalisation,
    config: TrainConfig,
) -> dict:
    """Applies masks and renews the running statistics.

    Args:
      genome: the genome.
      variables: ``{"params": ..., "batch_stats": ...}``, plain.
      masks: bool masks with the structure and shapes of the params.
      images: uint8 [N, H, W, C], of the training split, downsampled.
      num_classes: number of classes.
      normalisation: constants per channel.
      config: the run's settings; its batch size is that of the compiled step.

    Returns:
      New variables, NumPy arrays; what the masks remove is exactly zero.
    """
    params = _masked(variables["params"], masks)
    if not variables["batch_stats"]:
        return {"params": params, "batch_stats": {}}
    still = genomes.Training(learning_rate=0.0, pruning="none", sparsity=0.0)
    settings = make_settings(
        still, config, _STEPS, normalisation.mean, normalisation.std
    )
    state = with_masks(init_state({**variables, "params": params}, settings), masks)
    step = make_step(genome, num_classes)
    size = min(config.batch_size, len(images))
    order = np.random.default_rng([config.seed, 2]).permutation(len(images))
    labels = np.zeros(size, np.int32)  # of no effect: nothing learns
    for number in range(_STEPS):
        chosen = np.take(order, range(number * size, (number + 1) * size), mode="wrap")
        state = step(state, settings, images[chosen], labels)
    stats = _arrays(state.batch_stats.tree())
    return {"params": params, "batch_stats": stats}


def _masked(params, masks):
    return {
        name: _masked(value, masks[name])
        if isinstance(value, dict)
        else np.where(masks[name], value, 0).astype(np.float32)
        for name, value in params.items()
    }


def _arrays(tree):
    return {
        name: _arrays(value) if isinstance(value, dict) else np.asarray(value)
        for name, value in tree.items()
    }
