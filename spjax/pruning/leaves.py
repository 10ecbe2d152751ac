"""Which leaves of a parameter tree are pruned, and how they are named.

A leaf is named by its path joined with ``/``, as in ``params/conv1/kernel``
(Flax), ``linear/w`` (Haiku), ``layers/0/weight`` (Equinox) or ``0/1`` (tuples).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from spjax.pruning.errors import PruningError

PyTree = Any
Where = Callable[[str, jax.Array], bool]
Ties = Callable[[str, jax.Array], str | None]

_BIAS_NAMES = frozenset(
    ("b", "beta", "bias", "gamma", "mean", "offset", "scale", "var", "log_sigma2")
)


def default_where(path: str, leaf: jax.Array) -> bool:
    """Selects kernels: floating leaves of two or more axes.

    Biases and the parameters of normalisation layers are left alone, told by their
    names (``bias``, ``b``, ``scale``, ...; any part of the path holding ``norm``).

    Args:
      path: the leaf's path, joined with ``/``.
      leaf: the leaf, any shape.

    Returns:
      Whether the leaf is pruned.
    """
    parts = [part.lower() for part in path.split("/") if part != "value"]
    if parts and parts[-1] in _BIAS_NAMES:
        return False
    if any("norm" in part or part.startswith("bn") for part in parts):
        return False
    return jnp.ndim(leaf) >= 2 and jnp.issubdtype(jnp.result_type(leaf), jnp.floating)


def leaf_paths(tree: PyTree) -> list[str]:
    """Names of a tree's leaves, in the order of ``jax.tree.leaves``."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [
        jax.tree_util.keystr(path, simple=True, separator="/").strip("/")
        for path, _ in flat
    ]


def select(params: PyTree, where: Where) -> list[int]:
    """Indices of the leaves that ``where`` picks.

    Args:
      params: any tree of arrays.
      where: predicate on a leaf's path and the leaf.

    Returns:
      Indices into ``jax.tree.leaves(params)``, increasing.

    Raises:
      PruningError: if no leaf is picked, or a picked leaf is not floating.
    """
    paths, leaves = leaf_paths(params), jax.tree.leaves(params)
    chosen = [
        i for i, (p, x) in enumerate(zip(paths, leaves, strict=True)) if where(p, x)
    ]
    if not chosen:
        known = ", ".join(paths[:8]) + (", ..." if len(paths) > 8 else "")
        raise PruningError(
            f"where selects none of the {len(paths)} leaves ({known or 'empty tree'}): "
            "give a where(path, leaf) that is true for at least one of them"
        )
    for i in chosen:
        if not jnp.issubdtype(jnp.result_type(leaves[i]), jnp.floating):
            raise PruningError(
                f"leaf {paths[i]} has dtype {jnp.result_type(leaves[i])}, which cannot "
                "be pruned: make where return False for it"
            )
        if jnp.size(leaves[i]) == 0:
            raise PruningError(
                f"leaf {paths[i]} has no elements (shape {jnp.shape(leaves[i])}): "
                "make where return False for it"
            )
    return chosen


def resolve_ties(
    params: PyTree, chosen: list[int], ties: Ties | None
) -> dict[int, int]:
    """Maps each tied leaf to the selected leaf whose channel mask it shares.

    Args:
      params: any tree of arrays.
      chosen: indices of the selected leaves.
      ties: ``ties(path, leaf)`` gives the path of the leaf to follow, or None.

    Returns:
      ``{index of the tied leaf: index of the leaf it follows}``.

    Raises:
      PruningError: if a tie names a leaf that is not selected, or the sizes of the
        last axes differ.
    """
    if ties is None:
        return {}
    paths, leaves = leaf_paths(params), jax.tree.leaves(params)
    index = {path: i for i, path in enumerate(paths)}
    tied = {}
    for i, (path, leaf) in enumerate(zip(paths, leaves, strict=True)):
        target = ties(path, leaf)
        if target is None or target == path:
            continue
        if index.get(target) not in chosen:
            raise PruningError(
                f"leaf {path} is tied to {target}, which is not a pruned leaf: make "
                "where select it, or let ties return None"
            )
        tied[i] = index[target]
    both = sorted(set(tied.values()) & set(tied))
    if both:
        raise PruningError(
            f"leaf {paths[both[0]]} is tied to another leaf and followed by a third: "
            "tie all of them to the same leaf"
        )
    return tied
