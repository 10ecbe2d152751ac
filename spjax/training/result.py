"""What a training run leaves, and what is told of each of its epochs."""

import dataclasses

import jax
import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class TrainResult:
    """What a training run leaves.

    Attributes:
      variables: ``{"params": ..., "batch_stats": ...}``, float32 NumPy arrays; masked
        weights are exactly zero.
      masks: bool NumPy arrays with the structure and shapes of ``params``.
      history: one dict per epoch: ``epoch`` (from 1), ``loss``, ``train_error`` (means
        over the epoch, in training mode), ``validation_error``, ``sparsity`` (share of
        the kernels' weights that are zero).
      validation_error: error rate after the last epoch; 1.0 if the run diverged.
      diverged: whether the loss became infinite or NaN; the run stops there.
      threshold: log alpha from which weights were removed; None for the kinds of
        pruning without noise.
      noise: that at the end of the noisy training, for ``read_at``; None for the
        kinds of pruning without.
      seconds_setup: from the call to the end of the first step.
      seconds_total: whole call.
    """

    variables: dict
    masks: dict
    history: tuple[dict, ...]
    validation_error: float
    diverged: bool
    seconds_setup: float
    seconds_total: float
    threshold: float | None = None
    noise: dict[str, np.ndarray] | None = None


def history_entry(
    epoch: int, loss: float, train_error: float, validation_error: float, params: dict
) -> dict:
    """One entry of ``TrainResult.history``.

    Args:
      epoch: from 1.
      loss: mean over the epoch, nats an image.
      train_error: share of the epoch's images that were wrong, in training mode.
      validation_error: error rate after the epoch.
      params: the parameters then; plain ones.

    Returns:
      The entry, of Python's numbers.
    """
    return {
        "epoch": epoch,
        "loss": float(loss),
        "train_error": float(train_error),
        "validation_error": validation_error,
        "sparsity": kernel_sparsity(params),
    }


def kernel_sparsity(params: dict) -> float:
    """Share of the kernels' weights that are exactly zero."""
    kernels = [np.asarray(x) for x in jax.tree.leaves(params) if np.ndim(x) > 1]
    zeros = sum(int(np.sum(x == 0)) for x in kernels)
    return zeros / sum(x.size for x in kernels)
