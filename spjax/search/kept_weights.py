"""How many kernel elements a genome's pruning will leave, before it is trained.

``weight``: kernels share the removal by the Erdos-Renyi-kernel rule (Evci et al.,
"Rigging the Lottery", ICML 2020): kernel i keeps the share
min(1, eps * sum(shape_i) / product(shape_i)), with eps such that the shares add up.
``channel``: every kernel whose output channels may go loses the same share of them.
Of G groups, max(1, G - round(s G)) stay. A test holds the counts to those of the masks
that training computes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spjax.genomes import Training


class Kernel(NamedTuple):
    """A kernel's shape, output channels last, and whether channels of it may go."""

    shape: tuple[int, ...]
    free: bool


def kept_weights(training: Training, kernels: Sequence[Kernel]) -> list[int]:
    """Counts the elements that stay nonzero.

    Args:
      training: the genes of pruning.
      kernels: all kernels of the network.

    Returns:
      One count per kernel.
    """
    sizes = [math.prod(kernel.shape) for kernel in kernels]
    if training.pruning == "none":
        return sizes
    if training.pruning == "channel":
        return [
            size // kernel.shape[-1] * kept_channels(training, kernel)
            for size, kernel in zip(sizes, kernels, strict=True)
        ]
    shares = _erdos_renyi([kernel.shape for kernel in kernels], training.sparsity)
    return [_kept(size, share) for size, share in zip(sizes, shares, strict=True)]


def kept_channels(training: Training, kernel: Kernel) -> int:
    """Counts the output channels that stay."""
    channels = kernel.shape[-1]
    if training.pruning != "channel" or not kernel.free:
        return channels
    return _kept(channels, np.float32(training.sparsity))


def _kept(groups: int, sparsity: np.float32) -> int:
    # In float32, as training computes it: the rounding is the same.
    return max(1, groups - int(np.round(sparsity * np.float32(groups))))


def _erdos_renyi(shapes: list[tuple[int, ...]], sparsity: float) -> np.ndarray:
    sizes = np.array([math.prod(shape) for shape in shapes], np.float64)
    raw = np.array([sum(shape) for shape in shapes], np.float64) / sizes
    order = np.argsort(-raw, kind="stable")
    # With the densest j kernels full, eps follows from what the others have to keep.
    full = np.concatenate([[0.0], np.cumsum(sizes[order])[:-1]]).astype(np.float32)
    rest = np.cumsum((sizes * raw)[order][::-1])[::-1].astype(np.float32)
    density = np.float32(1) - np.float32(sparsity)
    eps = (density * np.float32(sizes.sum()) - full) / rest
    raw = raw.astype(np.float32)
    fits = eps * raw[order] <= 1
    first = int(np.argmax(fits)) if fits.any() else len(shapes) - 1
    shares = np.empty(len(shapes), np.float32)
    shares[order[:first]] = 1
    shares[order[first:]] = np.clip(eps[first] * raw[order[first:]], 0, 1)
    return np.float32(1) - shares
