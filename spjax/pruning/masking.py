"""Masks of a parameter tree, computed and applied.

A mask tree has the structure of the parameters. A pruned leaf's mask is a bool array
of its shape, False where the weight is removed; the mask of every other leaf is the
scalar True, so that ``jax.tree.map(lambda p, m: p * m, params, masks)`` is right
everywhere and costs next to nothing for leaves that are not pruned.
"""

from typing import Any

import jax
import jax.numpy as jnp

from spjax.pruning.distributions import Distribution, leaf_sparsities
from spjax.pruning.errors import PruningError
from spjax.pruning.grains import Grain, NofM
from spjax.pruning.leaves import Ties, Where, default_where, leaf_paths
from spjax.pruning.rule import Rule
from spjax.pruning.scores import Score
from spjax.pruning.topk import keep_largest, kept_count

PyTree = Any


def compute_masks(
    params: PyTree,
    sparsity: jax.Array | float | None = None,
    *,
    grain: str | Grain = "weight",
    distribution: str | Distribution = "uniform",
    score: str | Score = "magnitude",
    where: Where = default_where,
    ties: Ties | None = None,
    allow_empty: bool = False,
    grads: PyTree | None = None,
    previous: PyTree | None = None,
    count: jax.Array | int = 0,
) -> PyTree:
    """Masks that prune a share of the weights.

    Of a leaf's G groups (weights, channels, blocks), ``max(1, G - round(s * G))`` are
    kept, exactly, ties going to the lower index; under ``distribution="global"`` the
    rule holds for all leaves together and each keeps its best group.

    Args:
      params: tree of arrays, any shapes; concrete or traced.
      sparsity: share of groups to remove, in [0, 1); may be traced. Not needed for
        N:M grains.
      grain: ``"weight"``, ``"channel"``, ``"2:4"``, ``"4x4"`` or a grain object.
      distribution: ``"uniform"``, ``"erk"``, ``"global"`` or a function of
        ``({path: shape}, sparsity)`` that gives ``{path: sparsity}``.
      score: ``"magnitude"``, ``"saliency"``, ``random_scores(key)`` or a function of
        ``(params, grads, count)`` that gives a tree of scores; the largest are kept.
      where: ``where(path, leaf)`` tells which leaves are pruned.
      ties: ``ties(path, leaf)`` gives the path of a pruned kernel whose channel mask
        this leaf follows on its last axis (its bias, the scale and bias of the
        normalisation after it), or None. Channels only.
      allow_empty: whether a leaf may lose all its weights.
      grads: tree of gradients, for scores that need them.
      previous: masks computed before: what they removed is not taken back as long as
        enough others are left to keep. Where the sparsity falls, weights return in
        the order of their gradients' size (of their scores without ``grads``).
      count: step, for scores that need it.

    Returns:
      Tree of bool masks: of a pruned leaf's shape, else the scalar True.

    Raises:
      PruningError: for bad input; names the leaf and the remedy.
    """
    rule = Rule.of(grain, distribution, score, where, ties, allow_empty)
    return mask_tree(rule, params, rule.target(sparsity), grads, previous, count)


def mask_tree(
    rule: Rule,
    params: PyTree,
    sparsity: jax.Array | float,
    grads: PyTree | None,
    previous: PyTree | None,
    count: jax.Array | int,
) -> PyTree:
    """``compute_masks`` for a rule that has been checked."""
    chosen, tied = rule.leaves(params)
    shapes = rule.shapes(params, chosen)
    scores = rule.score(params, grads, count)
    check_scores(scores, params, shapes)
    pooled = rule.pool(scores, params, chosen)
    alive = spare = None
    if previous is not None:
        alive = rule.alive(previous, params, chosen)
        if grads is not None:
            spare = rule.pool(grads, params, chosen, absolute=True)
    kept = _keep(rule, shapes, sparsity, pooled, alive, spare)
    return rule.expand(kept, params, chosen, tied)


def check_scores(
    scores: PyTree, params: PyTree, shapes: dict[str, tuple[int, ...]]
) -> None:
    """Raises PruningError for a wrong shape and, where concrete, for NaN."""
    flat = jax.tree.structure(params).flatten_up_to(scores)
    for path, score in zip(leaf_paths(params), flat, strict=True):
        if path not in shapes:
            continue
        if jnp.shape(score) != shapes[path]:
            raise PruningError(
                f"leaf {path}: its scores have shape {jnp.shape(score)}, the leaf "
                f"{shapes[path]}; make score return one number per weight"
            )
        concrete = not isinstance(score, jax.core.Tracer)
        if concrete and bool(jnp.any(jnp.isnan(score))):
            raise PruningError(
                f"leaf {path}: its scores hold NaN; check the weights and gradients "
                "for divergence (lower the learning rate), or the score function"
            )


def group_counts(
    rule: Rule,
    shapes: dict[str, tuple[int, ...]],
    sizes: list[int],
    sparsity: jax.Array | float,
) -> list[jax.Array]:
    """Number of groups that each pruned leaf keeps, unless they compete globally."""
    shares = leaf_sparsities(rule.distribution, shapes, sparsity)
    least = 0 if rule.allow_empty else 1
    return [
        kept_count(size, shares[path], minimum=least)
        for path, size in zip(shapes, sizes, strict=True)
    ]


def _keep(
    rule: Rule,
    shapes: dict[str, tuple[int, ...]],
    sparsity: jax.Array | float,
    pooled: list[jax.Array],
    alive: list[jax.Array] | None,
    spare: list[jax.Array] | None,
) -> list[jax.Array]:
    """Masks of the groups."""
    n = len(pooled)
    if isinstance(rule.grain, NofM):
        return [
            rule.grain.keep(pooled[j], None if alive is None else alive[j], sparsity)
            for j in range(n)
        ]
    sizes = [p.size for p in pooled]
    champions = rule.distribution == "global" and not rule.allow_empty
    if rule.distribution == "global":
        least = 0 if rule.allow_empty else 1
        budgets = [(range(n), kept_count(sum(sizes), sparsity, minimum=least))]
    else:
        counts = group_counts(rule, shapes, sizes, sparsity)
        budgets = [([j], counts[j]) for j in range(n)]
    return keep_largest(pooled, budgets, alive=alive, spare=spare, champions=champions)


def apply_masks(
    params: PyTree, masks: PyTree, *, straight_through: bool = False
) -> PyTree:
    """Sets masked weights to exactly zero.

    Args:
      params: tree of arrays.
      masks: masks of the same structure, from ``compute_masks`` or ``masks(state)``.
      straight_through: whether gradients reach the masked weights as though they had
        not been masked (Bengio et al. 2013).

    Returns:
      Tree of the same structure, shapes and dtypes.
    """

    def apply(weight: jax.Array, mask: jax.Array) -> jax.Array:
        pruned = jnp.where(mask, weight, jnp.zeros_like(weight))
        if not straight_through:
            return pruned
        # w + (0 - w) and w + (w - w) are exact, so the value is that of `pruned`.
        return weight + jax.lax.stop_gradient(pruned - weight)

    return jax.tree.map(apply, params, masks)
