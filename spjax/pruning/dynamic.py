"""Dynamic sparse training: the network is sparse from the start and its masks move.

Every ``interval`` steps each leaf drops a fraction of its smallest weights and grows
as many others, which start at zero. SET (Mocanu et al. 2018) grows at random, RigL
(Evci et al. 2020) where the gradient of the dense network is largest. As in RigL,
what was dropped may be chosen again, and then keeps its value.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from spjax.pruning.distributions import Distribution
from spjax.pruning.errors import PruningError
from spjax.pruning.grains import Grain, NofM, as_grain
from spjax.pruning.leaves import Ties, Where, default_where
from spjax.pruning.masking import check_scores, group_counts, mask_tree
from spjax.pruning.rule import PyTree, Rule
from spjax.pruning.schedules import check_sparsity
from spjax.pruning.scores import magnitude_scores, random_scores
from spjax.pruning.topk import keep_largest
from spjax.pruning.transform import (
    Sparsity,
    check_window,
    is_due,
    pruning_transform,
    sparsity_at,
)

# growth(params, grads, count) -> scores that rank the weights to grow
Growth = Callable[[PyTree, PyTree, jax.Array], PyTree]


def sparse_evolution(
    inner: optax.GradientTransformation,
    *,
    sparsity: Sparsity,
    key: jax.Array,
    fraction: jax.Array | float = 0.3,
    grain: str | Grain = "weight",
    distribution: str | Distribution = "erk",
    where: Where = default_where,
    ties: Ties | None = None,
    begin: jax.Array | int | None = None,
    end: jax.Array | int | None = None,
    interval: jax.Array | int = 100,
    mask_gradients: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Sparse evolutionary training, SET (Mocanu et al. 2018).

    Args:
      inner: any optax transformation.
      sparsity: share of groups that are zero, in [0, 1), or a schedule of it.
      key: PRNG key for the first masks and the growth.
      fraction: share of the kept groups that is dropped and grown each time.
      grain: ``"weight"``, ``"channel"``, ``"4x4"`` or a grain object; not N:M.
      distribution: ``"uniform"``, ``"erk"`` or a function; not ``"global"``.
      where: ``where(path, leaf)`` tells which leaves are pruned.
      ties: see ``magnitude``.
      begin: first step at which masks move; ``interval`` if None.
      end: last step at which masks move; None for no end.
      interval: steps from one move to the next.
      mask_gradients: whether the inner optimiser sees zero for the gradients of masked
        weights, so that weights grow without stale momentum.

    Returns:
      A gradient transformation whose ``update`` needs ``params``. The masks are random
      from ``init`` on; the first update sets the masked weights to zero.

    Raises:
      PruningError: for bad input; names the argument or leaf and the remedy.
    """
    check_sparsity(fraction, "fraction")
    first, growth = jax.random.split(key)
    rule = _rule(grain, distribution, where, ties)
    return _dynamic(
        inner,
        rule,
        sparsity,
        first,
        lambda count: fraction,
        random_scores(growth),
        (interval if begin is None else begin, end, interval),
        mask_gradients,
    )


def rigl(
    inner: optax.GradientTransformation,
    *,
    sparsity: Sparsity,
    key: jax.Array,
    end: jax.Array | int,
    fraction: jax.Array | float = 0.3,
    grain: str | Grain = "weight",
    distribution: str | Distribution = "erk",
    where: Where = default_where,
    ties: Ties | None = None,
    begin: jax.Array | int | None = None,
    interval: jax.Array | int = 100,
    mask_gradients: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Growth by gradient, RigL (Evci et al. 2020).

    The fraction that is replaced falls from ``fraction`` to zero at ``end`` along half
    a cosine (their equation 1). The gradients of masked weights are those of the
    network with the weight at zero, which is what ``jax.grad`` gives.

    Args:
      inner: any optax transformation.
      sparsity: share of groups that are zero, in [0, 1), or a schedule of it.
      key: PRNG key for the first masks.
      end: last step at which masks move; the paper takes three quarters of training.
      fraction: share of the kept groups that is dropped and grown at first.
      grain: ``"weight"``, ``"channel"``, ``"4x4"`` or a grain object; not N:M.
      distribution: ``"uniform"``, ``"erk"`` or a function; not ``"global"``.
      where: ``where(path, leaf)`` tells which leaves are pruned.
      ties: see ``magnitude``.
      begin: first step at which masks move; ``interval`` if None.
      interval: steps from one move to the next.
      mask_gradients: whether the inner optimiser sees zero for the gradients of masked
        weights, so that weights grow without stale momentum.

    Returns:
      A gradient transformation whose ``update`` needs ``params``. The masks are random
      from ``init`` on; the first update sets the masked weights to zero.

    Raises:
      PruningError: for bad input; names the argument or leaf and the remedy.
    """
    check_sparsity(fraction, "fraction")

    def annealed(count: jax.Array) -> jax.Array:
        done = jnp.clip(count / jnp.asarray(end, jnp.float32), 0.0, 1.0)
        return 0.5 * fraction * (1 + jnp.cos(jnp.pi * done))

    return _dynamic(
        inner,
        _rule(grain, distribution, where, ties),
        sparsity,
        key,
        annealed,
        lambda params, grads, count: jax.tree.map(jnp.abs, grads),
        (interval if begin is None else begin, end, interval),
        mask_gradients,
    )


def _rule(
    grain: str | Grain,
    distribution: str | Distribution,
    where: Where,
    ties: Ties | None,
) -> Rule:
    grain = as_grain(grain)
    if isinstance(grain, NofM) or distribution == "global":
        raise PruningError(
            "dynamic sparse training keeps a fixed number of groups per leaf: use a "
            "grain other than N:M and a distribution other than 'global'"
        )
    return Rule.of(grain, distribution, "magnitude", where, ties, False)


def _dynamic(
    inner: optax.GradientTransformation,
    rule: Rule,
    sparsity: Sparsity,
    first: jax.Array,
    fraction: Callable[[jax.Array], jax.Array | float],
    growth: Growth,
    window: tuple,
    mask_gradients: bool,
) -> optax.GradientTransformationExtraArgs:
    """The transformation that SET and RigL share."""
    if not callable(sparsity):
        rule.target(sparsity)
    check_window(*window)

    def init_masks(params: PyTree) -> PyTree:
        start = jnp.zeros((), jnp.int32)
        scores = random_scores(first)(params, None, start)
        random = dataclasses.replace(rule, score=lambda *_: scores)
        return mask_tree(
            random, params, sparsity_at(sparsity, start), None, None, start
        )

    def refresh(count: jax.Array, params: PyTree, grads: PyTree, old: PyTree) -> PyTree:
        chosen, tied = rule.leaves(params)
        shapes = rule.shapes(params, chosen)
        sizes = magnitude_scores(params, grads, count)
        check_scores(sizes, params, shapes)
        weights = rule.pool(sizes, params, chosen)
        counts = group_counts(
            rule, shapes, [w.size for w in weights], sparsity_at(sparsity, count)
        )
        alive = rule.alive(old, params, chosen)
        kept = keep_largest(
            weights,
            [([j], _remaining(n, fraction(count))) for j, n in enumerate(counts)],
            alive=alive,
        )
        grow = rule.pool(growth(params, grads, count), params, chosen)
        grown = keep_largest(
            weights,
            [([j], n) for j, n in enumerate(counts)],
            alive=kept,
            spare=grow,
        )
        return rule.expand(grown, params, chosen, tied)

    return pruning_transform(
        inner,
        rule.masked,
        refresh,
        lambda count: is_due(count, *window),
        init_masks=init_masks,
        mask_gradients=mask_gradients,
    )


def _remaining(count: jax.Array, fraction: jax.Array | float) -> jax.Array:
    """Groups that stay: ``count - round(fraction * count)``."""
    dropped = jnp.round(jnp.asarray(fraction, jnp.float32) * count)
    return count - dropped.astype(jnp.int32)
