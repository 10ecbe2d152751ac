"""The base of every pruning transformation: updates that land on exactly zero.

``optax.apply_updates`` adds: p + u. For a masked weight the update is therefore
u = -p, and p + (-p) is exactly zero in floating point, whatever the inner optimiser
proposed and whatever its moments hold. No second hook is needed, and masks live in
the optimiser's state, where they are checkpointed and sharded with it.

Masks are computed from the weights that ``update`` is given, before the inner
update, so that weights and gradients belong together. They are read there only: the
inner state takes no part, and the compiler can update it in place.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from spjax.pruning.errors import PruningError

PyTree = Any
Sparsity = jax.Array | float | optax.Schedule | None
# refresh(count, params, grads, masks) -> masks
Refresh = Callable[[jax.Array, PyTree, PyTree, PyTree], PyTree]


class PruningState(NamedTuple):
    """State of a pruning transformation.

    Attributes:
      count: int32 scalar, number of updates so far.
      masks: tree of bool masks with the structure of the parameters.
      inner_state: state of the inner transformation.
    """

    count: jax.Array
    masks: PyTree
    inner_state: optax.OptState


def masks(state: optax.OptState) -> PyTree:
    """The masks inside an optimiser state, however deep they are nested.

    Args:
      state: state of a pruning transformation, or of a chain that holds one.

    Returns:
      Tree of bool masks: of a pruned leaf's shape, else the scalar True.

    Raises:
      PruningError: if the state holds no masks, or those of two transformations.
    """
    is_ours = lambda x: isinstance(x, PruningState)  # noqa: E731
    found = [x for x in jax.tree.leaves(state, is_leaf=is_ours) if is_ours(x)]
    if len(found) != 1:
        raise PruningError(
            f"the optimiser state holds {len(found)} pruning states: pass the state of "
            "one pruning transformation"
        )
    return found[0].masks


def is_due(
    count: jax.Array,
    begin: jax.Array | int,
    end: jax.Array | int | None,
    interval: jax.Array | int,
) -> jax.Array:
    """Whether masks are computed at a step: every ``interval`` steps, and at ``end``.

    Args:
      count: int32 scalar step.
      begin: first step with a mask update.
      end: last step with a mask update, or None for no end.
      interval: steps from one mask update to the next.

    Returns:
      bool scalar.
    """
    due = (count >= begin) & ((count - begin) % interval == 0)
    if end is None:
        return due
    return (due & (count <= end)) | (count == end)


def check_window(
    begin: jax.Array | int, end: jax.Array | int | None, interval: jax.Array | int
) -> None:
    """Raises PruningError for an interval below 1 or an end before the begin."""
    if isinstance(interval, int) and interval < 1:
        raise PruningError(f"interval={interval} must be at least 1 (in steps)")
    if isinstance(begin, int) and isinstance(end, int) and end < begin:
        raise PruningError(f"end={end} is before begin={begin} (in steps)")


def sparsity_at(sparsity: Sparsity, count: jax.Array) -> jax.Array | float | None:
    """Value of a sparsity, constant or scheduled, at a step."""
    return sparsity(count) if callable(sparsity) else sparsity


def pruning_transform(
    inner: optax.GradientTransformation,
    pruned: Callable[[PyTree], set[int]],
    refresh: Refresh,
    due: Callable[[jax.Array], jax.Array],
    *,
    init_masks: Callable[[PyTree], PyTree],
    mask_gradients: bool,
    zero: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimiser so that its updates keep masked weights at zero.

    Args:
      inner: any optax transformation.
      pruned: indices of the leaves that have masks, from the parameters.
      refresh: ``refresh(count, params, grads, masks)`` gives new masks.
      due: tells from the step whether ``refresh`` runs.
      init_masks: masks from the initial parameters.
      mask_gradients: whether the inner optimiser sees zero for the gradients of masked
        weights, so that norms, moments and clipping are those of the sparse network.
      zero: whether masked weights are set to zero; if not, masks are only kept up.

    Returns:
      The transformation; ``update`` needs ``params``.
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: PyTree) -> PruningState:
        return PruningState(
            jnp.zeros((), jnp.int32), init_masks(params), inner.init(params)
        )

    def update(
        grads: PyTree, state: PruningState, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, PruningState]:
        if params is None:
            raise PruningError(
                "a pruning transformation needs the weights: call "
                "update(grads, state, params)"
            )
        full = pruned(params)

        new = _cond(
            due(state.count),
            lambda old: refresh(state.count, params, grads, old),
            state.masks,
        )
        if mask_gradients:
            grads = _map_leaves(_zero_masked, full, grads, new)
        updates, inner_state = inner.update(grads, state.inner_state, params, **extra)
        if zero:
            updates = _map_leaves(_land_on_zero, full, updates, new, params)
        count = optax.safe_increment(state.count)
        return updates, PruningState(count, new, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _cond(due: jax.Array, recompute: Callable[[PyTree], PyTree], old: PyTree) -> PyTree:
    """``lax.cond``, or plain Python where the step is concrete (not under jit)."""
    if isinstance(due, jax.core.Tracer):
        return jax.lax.cond(due, recompute, lambda m: m, old)
    return recompute(old) if bool(due) else old


def _zero_masked(grad: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.where(mask, grad, jnp.zeros_like(grad))


def _land_on_zero(update: jax.Array, mask: jax.Array, param: jax.Array) -> jax.Array:
    # A narrower dtype than the weight's could not represent -p exactly.
    kind = jnp.promote_types(update.dtype, param.dtype)
    return jnp.where(mask, update.astype(kind), -param.astype(kind))


def _map_leaves(
    function: Callable[..., jax.Array], chosen: set[int], tree: PyTree, *others: PyTree
) -> PyTree:
    leaves, treedef = jax.tree.flatten(tree)
    rest = [treedef.flatten_up_to(other) for other in others]
    return jax.tree.unflatten(
        treedef,
        [
            function(x, *(r[i] for r in rest)) if i in chosen else x
            for i, x in enumerate(leaves)
        ],
    )
