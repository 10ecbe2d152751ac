"""How much each weight matters: the scores that pruning ranks.

A score is a function ``score(params, grads, count)`` of the weights, their gradients
(both trees of the same structure) and the step; it returns a tree of arrays of the
same shapes. The largest scores are kept. ``magnitude`` and ``saliency`` go by name;
``random_scores`` needs a key, and any function of that form will do.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from spjax.pruning.errors import PruningError

PyTree = Any
Score = Callable[[PyTree, PyTree, jax.Array], PyTree]

_SMALL = 2**16  # elements


def magnitude_scores(params: PyTree, grads: PyTree, count: jax.Array) -> PyTree:
    """Scores |w|.

    Args:
      params: tree of weights.
      grads: not used.
      count: not used.

    Returns:
      Tree of the same shapes.
    """
    del grads, count
    return jax.tree.map(jnp.abs, params)


def saliency_scores(params: PyTree, grads: PyTree, count: jax.Array) -> PyTree:
    """Scores |w * dL/dw|, the first-order change of the loss if w is removed.

    Args:
      params: tree of weights.
      grads: tree of gradients of the loss.
      count: not used.

    Returns:
      Tree of the same shapes.

    Raises:
      PruningError: if no gradients are given.
    """
    del count
    if grads is None:
        raise PruningError("score='saliency' needs gradients: pass grads=...")
    return jax.tree.map(lambda w, g: jnp.abs(w * g), params, grads)


def random_scores(key: jax.Array) -> Score:
    """Uniform random scores: the baseline every other score must beat.

    Args:
      key: PRNG key; step and leaf are folded into it.

    Returns:
      A score function.
    """

    def score(params: PyTree, grads: PyTree, count: jax.Array) -> PyTree:
        del grads
        leaves, treedef = jax.tree.flatten(params)
        now = jax.random.fold_in(key, count)
        # One draw for all small leaves: each shape costs a second of compilation.
        small = [i for i, x in enumerate(leaves) if jnp.size(x) <= _SMALL]
        sizes = [jnp.size(leaves[i]) for i in small]
        pool = jax.random.uniform(jax.random.fold_in(now, len(leaves)), (sum(sizes),))
        draws = {}
        for i, end, size in zip(small, itertools.accumulate(sizes), sizes, strict=True):
            draws[i] = pool[end - size : end].reshape(jnp.shape(leaves[i]))
        for i, x in enumerate(leaves):
            if i not in draws:
                draws[i] = jax.random.uniform(jax.random.fold_in(now, i), jnp.shape(x))
        return jax.tree.unflatten(treedef, [draws[i] for i in range(len(leaves))])

    return score


_NAMED = {"magnitude": magnitude_scores, "saliency": saliency_scores}


def as_score(score: str | Score) -> Score:
    """Turns a score's name into the function.

    Args:
      score: ``"magnitude"``, ``"saliency"`` or a score function.

    Returns:
      The score function.

    Raises:
      PruningError: if the name is unknown.
    """
    if callable(score):
        return score
    if score in _NAMED:
        return _NAMED[score]
    raise PruningError(
        f"score={score!r} is unknown: use 'magnitude', 'saliency', random_scores(key) "
        "or a function of (params, grads, count)"
    )
