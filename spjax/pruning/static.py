"""Pruning with masks that do not follow the weights' own path to zero.

* ``fixed`` keeps given masks: fine-tuning after pruning, lottery tickets, static
  sparse training.
* ``straight_through`` keeps the weights dense and only keeps up the masks of the
  smallest: the loss is taken of the masked weights while gradients reach all of them
  (Bengio et al. 2013), so that a weight can come back.
"""

import jax
import jax.numpy as jnp
import optax

from spjax.pruning.distributions import Distribution
from spjax.pruning.errors import PruningError
from spjax.pruning.grains import Grain
from spjax.pruning.leaves import Where, default_where
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


def fixed(
    inner: optax.GradientTransformation,
    masks: PyTree,
    *,
    mask_gradients: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimiser so that given masks hold.

    Args:
      inner: any optax transformation.
      masks: tree of bool masks, of a leaf's shape or the scalar True for leaves that
        are not pruned; from ``compute_masks`` or ``masks(state)``.
      mask_gradients: whether the inner optimiser sees zero for the gradients of masked
        weights.

    Returns:
      A gradient transformation whose ``update`` needs ``params``; the first update
      sets the masked weights to exactly zero.

    Raises:
      PruningError: if the masks do not have the structure of the parameters.
    """

    def masked(params: PyTree) -> set[int]:
        return {i for i, m in enumerate(jax.tree.leaves(masks)) if jnp.ndim(m)}

    def init_masks(params: PyTree) -> PyTree:
        if jax.tree.structure(masks) != jax.tree.structure(params):
            raise PruningError(
                "masks and params differ in structure: compute the masks from these "
                "params with compute_masks"
            )
        return jax.tree.map(lambda m: jnp.array(m, bool), masks)

    return pruning_transform(
        inner,
        masked,
        lambda count, params, grads, old: old,
        lambda count: False,
        init_masks=init_masks,
        mask_gradients=mask_gradients,
    )


def straight_through(
    inner: optax.GradientTransformation,
    *,
    sparsity: Sparsity = None,
    grain: str | Grain = "weight",
    distribution: str | Distribution = "uniform",
    score: str | Score = "magnitude",
    where: Where = default_where,
    begin: jax.Array | int = 0,
    end: jax.Array | int | None = None,
    interval: jax.Array | int = 1,
    allow_empty: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimiser so that it keeps up masks but leaves the weights dense.

    Take the loss of ``apply_masks(params, masks(state), straight_through=True)``; after
    training ``apply_masks(params, masks(state))`` is the sparse network. Masks are
    computed afresh each time, so weights come and go.

    Args:
      inner: any optax transformation.
      sparsity: share of groups to mask, in [0, 1), or a schedule of it. Not needed for
        N:M grains.
      grain: see ``magnitude``.
      distribution: see ``magnitude``.
      score: see ``magnitude``.
      where: see ``magnitude``.
      begin: first step at which masks are computed; all True before it.
      end: last step at which masks are computed (one always is); None for no end.
      interval: steps from one mask computation to the next.
      allow_empty: whether a leaf may lose all its weights.

    Returns:
      A gradient transformation whose ``update`` needs ``params``.

    Raises:
      PruningError: for bad input; names the argument or leaf and the remedy.
    """
    rule = Rule.of(grain, distribution, score, where, None, allow_empty)
    check_window(begin, end, interval)
    if not callable(sparsity):
        sparsity = rule.target(sparsity)

    def refresh(count: jax.Array, params: PyTree, grads: PyTree, old: PyTree) -> PyTree:
        del old
        return mask_tree(rule, params, sparsity_at(sparsity, count), grads, None, count)

    return pruning_transform(
        inner,
        rule.masked,
        refresh,
        lambda count: is_due(count, begin, end, interval),
        init_masks=rule.dense,
        mask_gradients=False,
        zero=False,
    )
