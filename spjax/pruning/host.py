"""Masks by magnitude, computed by NumPy on the host.

The same masks as ``compute_masks``, by sorting. A small model on a CPU is pruned
faster this way: computing takes microseconds, while compiling the jitted selection
takes as long as hundreds of training steps. Keep such masks with ``fixed``.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from spjax.pruning.distributions import erk
from spjax.pruning.errors import PruningError
from spjax.pruning.leaves import Ties, Where, default_where, leaf_paths
from spjax.pruning.rule import Rule
from spjax.pruning.schedules import check_sparsity

PyTree = Any
_GRAINS = ("weight", "channel")
_DISTRIBUTIONS = ("uniform", "erk")


def host_masks(
    params: PyTree,
    sparsity: float,
    *,
    grain: str = "weight",
    distribution: str = "uniform",
    where: Where = default_where,
    ties: Ties | None = None,
    previous: PyTree | None = None,
) -> PyTree:
    """Masks that prune a share of the weights, by magnitude; see ``compute_masks``.

    Args:
      params: tree of concrete arrays.
      sparsity: share of groups to remove, in [0, 1).
      grain: ``"weight"`` or ``"channel"``.
      distribution: ``"uniform"`` or ``"erk"``.
      where: ``where(path, leaf)`` tells which leaves are pruned.
      ties: as for ``compute_masks``.
      previous: masks computed before; what they removed ranks below all others.

    Returns:
      Tree of NumPy bool masks: of a pruned leaf's shape, else the scalar True.

    Raises:
      PruningError: for bad input; names the argument or leaf and the remedy.
    """
    for name, value, known in (
        ("grain", grain, _GRAINS),
        ("distribution", distribution, _DISTRIBUTIONS),
    ):
        if value not in known:
            raise PruningError(
                f"{name}={value!r} is not for the host: use one of {', '.join(known)}, "
                "or compute_masks"
            )
    check_sparsity(sparsity)
    rule = Rule.of(grain, distribution, "magnitude", where, ties, False)
    chosen, tied = rule.leaves(params)
    leaves, treedef = jax.tree.flatten(params)
    paths = leaf_paths(params)
    old = None if previous is None else treedef.flatten_up_to(previous)
    shapes = {paths[i]: np.shape(leaves[i]) for i in chosen}
    shares = (
        erk_sparsities(shapes, sparsity)
        if distribution == "erk"
        else dict.fromkeys(shapes, np.float32(sparsity))
    )
    out: list[np.ndarray] = [np.ones((), bool)] * len(leaves)
    groups = {}
    for i in chosen:
        score = np.abs(np.asarray(leaves[i]))
        if np.isnan(score).any():
            raise PruningError(
                f"leaf {paths[i]} holds NaN; check for divergence (lower the learning "
                "rate)"
            )
        if old is not None:
            # Below the score of any weight that is alive.
            score = np.where(np.asarray(old[i]), score, -1.0)
        if grain == "channel":
            score = score.reshape(-1, score.shape[-1]).mean(0)
        kept = host_kept(score.size, shares[paths[i]])
        mask = np.zeros(score.size, bool)
        mask[np.argsort(-score, axis=None, kind="stable")[:kept]] = True
        groups[i] = mask.reshape(score.shape)
        out[i] = np.broadcast_to(groups[i], np.shape(leaves[i])).copy()
    for i, target in tied.items():
        out[i] = np.broadcast_to(groups[target], np.shape(leaves[i])).copy()
    return jax.tree.unflatten(treedef, out)


def host_kept(groups: int, sparsity: float) -> int:
    """Groups that stay of ``groups``: ``max(1, groups - round(sparsity * groups))``.

    Rounded in float32, as the jitted selection does it.
    """
    return max(1, groups - int(np.round(np.float32(sparsity) * np.float32(groups))))


def erk_sparsities(
    shapes: Mapping[str, tuple[int, ...]], sparsity: float
) -> dict[str, np.float32]:
    """Sparsity of each leaf under the Erdos-Renyi-kernel rule (Evci et al. 2020).

    Leaf i keeps the share ``min(1, eps * sum(shape_i) / product(shape_i))``, with eps
    such that all leaves together keep ``1 - sparsity``.

    Args:
      shapes: shape of each leaf, by path.
      sparsity: overall share of zeros, in [0, 1).

    Returns:
      Sparsity by path, float32.
    """
    return erk(shapes, sparsity, numpy=np)
