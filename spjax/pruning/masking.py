"""Masks of a parameter tree, computed and applied.

A mask tree has the structure of the parameters. A pruned leaf's mask is a bool array
of its shape, False where the weight is removed; the mask of every other leaf is the
scalar True, so that ``jax.tree.map(lambda p, m: p * m, params, masks)`` is right
everywhere and costs next to nothing for leaves that are not pruned.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from spjax.pruning.distributions import (
    Distribution,
    check_distribution,
    leaf_sparsities,
)
from spjax.pruning.errors import PruningError
from spjax.pruning.grains import Channel, Grain, NofM, as_grain
from spjax.pruning.leaves import (
    Ties,
    Where,
    default_where,
    leaf_paths,
    resolve_ties,
    select,
)
from spjax.pruning.schedules import check_sparsity
from spjax.pruning.scores import Score, as_score
from spjax.pruning.topk import keep_largest, kept_count

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Rule:
    """Everything about masks but the sparsity; see ``compute_masks`` for the fields."""

    grain: Grain
    distribution: str | Distribution
    score: Score
    where: Where
    ties: Ties | None
    allow_empty: bool

    @classmethod
    def of(
        cls,
        grain: str | Grain,
        distribution: str | Distribution,
        score: str | Score,
        where: Where,
        ties: Ties | None,
        allow_empty: bool,
    ) -> "Rule":
        """Builds a rule from the arguments that users give."""
        rule = cls(
            as_grain(grain), distribution, as_score(score), where, ties, allow_empty
        )
        check_distribution(distribution)
        if isinstance(rule.grain, NofM) and distribution != "uniform":
            raise PruningError(
                f"distribution={distribution!r} does not apply to N:M sparsity, which "
                "is the same everywhere: leave distribution='uniform'"
            )
        if ties is not None and not isinstance(rule.grain, Channel):
            raise PruningError(
                "ties share channel masks: use them with grain='channel'"
            )
        return rule

    def leaves(self, params: PyTree) -> tuple[list[int], dict[int, int]]:
        """Indices of the pruned leaves, and the ties; checks every shape."""
        chosen = select(params, self.where)
        tied = resolve_ties(params, chosen, self.ties)
        chosen = [i for i in chosen if i not in tied]
        paths, leaves = leaf_paths(params), jax.tree.leaves(params)
        for i in chosen:
            self.grain.check(paths[i], jnp.shape(leaves[i]))
        for i, target in tied.items():
            size = self.grain.groups(jnp.shape(leaves[target]))[0]
            if jnp.shape(leaves[i])[-1:] != (size,):
                raise PruningError(
                    f"leaf {paths[i]} of shape {jnp.shape(leaves[i])} is tied to "
                    f"{paths[target]} with {size} channels: its last axis must have "
                    "that size; let ties return None for it"
                )
        return chosen, tied

    def target(self, sparsity: jax.Array | float | None) -> jax.Array | float:
        """Checks a sparsity and fills in that of an N:M pattern."""
        if not isinstance(self.grain, NofM):
            if sparsity is None:
                raise PruningError("sparsity is missing: give a share in [0, 1)")
            check_sparsity(sparsity)
            return sparsity
        done = self.grain.sparsity
        if sparsity is None:
            return done
        if isinstance(sparsity, int | float) and sparsity != done:
            raise PruningError(
                f"sparsity={sparsity} contradicts {self.grain.n}:{self.grain.m}, which "
                f"is {done:g}: leave sparsity out, or give a schedule that ends there"
            )
        return sparsity


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
    leaves, treedef = jax.tree.flatten(params)
    scores = _score_leaves(rule, params, grads, count, chosen)
    pooled = [rule.grain.pool(s) for s in scores]
    alive = spare = None
    if previous is not None:
        flat = treedef.flatten_up_to(previous)
        alive = [rule.grain.pool(flat[i].astype(jnp.float32)) > 0 for i in chosen]
        if grads is not None:
            flat = treedef.flatten_up_to(grads)
            spare = [rule.grain.pool(jnp.abs(flat[i])) for i in chosen]
    shapes = {path: jnp.shape(leaves[i]) for i, path in _named(params, chosen)}
    kept = _keep(rule, shapes, sparsity, pooled, alive, spare)
    out = [jnp.ones((), bool)] * len(leaves)
    for i, mask in zip(chosen, kept, strict=True):
        out[i] = rule.grain.expand(mask, jnp.shape(leaves[i]))
    for i, target in tied.items():
        channels = kept[chosen.index(target)]
        out[i] = jnp.broadcast_to(channels, jnp.shape(leaves[i]))
    return jax.tree.unflatten(treedef, out)


def _named(params: PyTree, chosen: list[int]) -> list[tuple[int, str]]:
    paths = leaf_paths(params)
    return [(i, paths[i]) for i in chosen]


def _score_leaves(
    rule: Rule,
    params: PyTree,
    grads: PyTree | None,
    count: jax.Array | int,
    chosen: list[int],
) -> list[jax.Array]:
    """Scores of the pruned leaves, checked for shape and, where concrete, for NaN."""
    leaves, treedef = jax.tree.flatten(params)
    flat = treedef.flatten_up_to(rule.score(params, grads, count))
    for i, path in _named(params, chosen):
        if jnp.shape(flat[i]) != jnp.shape(leaves[i]):
            raise PruningError(
                f"leaf {path}: its scores have shape {jnp.shape(flat[i])}, the leaf "
                f"{jnp.shape(leaves[i])}; make score return one number per weight"
            )
        concrete = not isinstance(flat[i], jax.core.Tracer)
        if concrete and bool(jnp.any(jnp.isnan(flat[i]))):
            raise PruningError(
                f"leaf {path}: its scores hold NaN; check the weights and gradients "
                "for divergence (lower the learning rate), or the score function"
            )
    return [jnp.asarray(flat[i]) for i in chosen]


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
    least = 0 if rule.allow_empty else 1
    if rule.distribution == "global":
        total = sum(p.size for p in pooled)
        budgets = [(range(n), kept_count(total, sparsity, minimum=least))]
    else:
        shares = leaf_sparsities(rule.distribution, shapes, sparsity)
        budgets = [
            ([j], kept_count(pooled[j].size, shares[path], minimum=least))
            for j, path in enumerate(shapes)
        ]
    champions = rule.distribution == "global" and not rule.allow_empty
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


def dense_masks(rule: Rule, params: PyTree) -> PyTree:
    """Masks that keep everything, of the shapes that ``mask_tree`` gives."""
    chosen, tied = rule.leaves(params)
    leaves, treedef = jax.tree.flatten(params)
    full = set(chosen) | set(tied)
    return jax.tree.unflatten(
        treedef,
        [
            jnp.ones_like(x, bool) if i in full else jnp.ones((), bool)
            for i, x in enumerate(leaves)
        ],
    )
