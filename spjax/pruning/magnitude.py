"""Pruning by score while training: the smallest weights go, and stay gone.

Zhu & Gupta 2017: every ``interval`` steps the weights that are still there are
ranked and the lowest removed until the schedule's sparsity is met. A removed weight
is exactly zero from then on, unless the schedule's sparsity falls.
"""

import jax
import optax

from spjax.pruning.distributions import Distribution
from spjax.pruning.grains import Grain
from spjax.pruning.leaves import Ties, Where, default_where
from spjax.pruning.masking import mask_tree
from spjax.pruning.rule import PyTree, Rule
from spjax.pruning.scores import Score
from spjax.pruning.transform import (
    Sparsity,
    check_window,
    is_due,
    pruning_transform,
    sparsity_at,
)


def magnitude(
    inner: optax.GradientTransformation,
    *,
    sparsity: Sparsity = None,
    grain: str | Grain = "weight",
    distribution: str | Distribution = "uniform",
    score: str | Score = "magnitude",
    where: Where = default_where,
    ties: Ties | None = None,
    begin: jax.Array | int = 0,
    end: jax.Array | int | None = None,
    interval: jax.Array | int = 100,
    allow_empty: bool = False,
    mask_gradients: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimiser so that training prunes.

    ``optax.apply_updates(params, updates)`` lands on exactly zero for every masked
    weight, for every inner optimiser. Masks are computed from the weights and gradients
    that ``update`` is given; weights already removed rank below all others. All of
    ``sparsity``, ``begin``, ``end``, ``interval`` may be traced: one compiled step
    then serves many settings.

    Args:
      inner: any optax transformation, for example ``optax.adam(1e-3)``.
      sparsity: share of groups to remove, in [0, 1), or a schedule of it such as
        ``cubic(0.9, end=1000)``. Not needed for N:M grains.
      grain: ``"weight"``, ``"channel"``, ``"2:4"``, ``"4x4"`` or a grain object.
      distribution: ``"uniform"``, ``"erk"``, ``"global"`` or a function of
        ``({path: shape}, sparsity)`` that gives ``{path: sparsity}``.
      score: ``"magnitude"``, ``"saliency"`` (|w * gradient|), ``random_scores(key)``
        or a function of ``(params, grads, count)`` that gives a tree of scores.
      where: ``where(path, leaf)`` tells which leaves are pruned.
      ties: ``ties(path, leaf)`` gives the path of the pruned kernel whose channel mask
        this leaf follows on its last axis, or None. For ``grain="channel"``.
      begin: first step at which masks are computed; dense before it.
      end: last step at which masks are computed (one always is); None for no end.
      interval: steps from one mask computation to the next.
      allow_empty: whether a leaf may lose all its weights.
      mask_gradients: whether the inner optimiser sees zero for the gradients of masked
        weights. Turn it on if the inner optimiser clips or scales by a norm over many
        weights; it costs one more pass over the masks at every step.

    Returns:
      A gradient transformation whose ``update`` needs ``params``. Its state holds the
      masks: ``masks(state)``.

    Raises:
      PruningError: for bad input; names the argument or leaf and the remedy.
    """
    rule = Rule.of(grain, distribution, score, where, ties, allow_empty)
    check_window(begin, end, interval)
    if not callable(sparsity):
        sparsity = rule.target(sparsity)

    def refresh(count: jax.Array, params: PyTree, grads: PyTree, old: PyTree) -> PyTree:
        target = sparsity_at(sparsity, count)
        return mask_tree(rule, params, target, grads, old, count)

    return pruning_transform(
        inner,
        rule.masked,
        refresh,
        lambda count: is_due(count, begin, end, interval),
        init_masks=rule.dense,
        mask_gradients=mask_gradients,
    )
