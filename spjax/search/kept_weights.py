"""How much of a network its pruning genes will leave, before it is trained.

``weight``: kernels share the removal by the Erdos-Renyi-kernel rule (Evci et al.,
"Rigging the Lottery", ICML 2020): kernel i keeps the share
min(1, eps * sum(shape_i) / product(shape_i)), with eps such that the shares add up.
``channel``: every layer loses the same share of its output channels or units. Of G
groups, max(1, G - round(s G)) stay. A test holds the counts to those of the masks that
training computes.

``variational``: the network as a whole keeps what ``weight`` would leave it; how its
layers share that out is known only after training, and taken to be as for ``weight``.
``bayesian``: the kernels together keep at most the share 1 - s. A kernel's size is the
product of two widths, so that each is expected to keep the share sqrt(1 - s).
"""

import math
from collections.abc import Sequence

import numpy as np

from spjax.genomes import Training

Shape = tuple[int, ...]


def kept_weights(training: Training, kernels: Sequence[Shape]) -> list[int]:
    """Counts the kernel elements that pruning of single weights leaves nonzero.

    Exact for ``weight``; for ``variational`` the sum is, and the parts are expected.

    Args:
      training: the genes of pruning.
      kernels: shapes of all kernels of the network, output channels last.

    Returns:
      One count per kernel; all elements unless single weights are pruned.
    """
    sizes = [math.prod(shape) for shape in kernels]
    if training.pruning not in ("weight", "variational"):
        return sizes
    shares = _erdos_renyi(kernels, training.sparsity)
    return [_kept(size, share) for size, share in zip(sizes, shares, strict=True)]


def kept_channels(training: Training, channels: int) -> int:
    """Counts the output channels or units of a layer that pruning leaves.

    Exact for ``channel``, expected for ``bayesian``.

    Args:
      training: the genes of pruning.
      channels: output channels of a convolution, or units, before pruning.

    Returns:
      The count; all unless channels are pruned.
    """
    if training.pruning == "channel":
        return _kept(channels, np.float32(training.sparsity))
    if training.pruning == "bayesian":
        return _kept(channels, np.float32(1 - math.sqrt(1 - training.sparsity)))
    return channels


def _kept(groups: int, sparsity: np.float32) -> int:
    # In float32, as training computes it: the rounding is the same.
    return max(1, groups - int(np.round(sparsity * np.float32(groups))))


def _erdos_renyi(shapes: Sequence[Shape], sparsity: float) -> np.ndarray:
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
