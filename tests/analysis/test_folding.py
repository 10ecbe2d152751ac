"""Weight-only values: what is computed, along which axes they vary, and by whom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax.analysis import _jaxpr
from spjax.analysis.folding import Folding


def _folded(fn, *params):
    """Folding of ``fn(*params)`` and the number of its result."""
    flat = _jaxpr.flatten(lambda p, x: fn(*p), params, [np.zeros((1, 1), np.float32)])
    folding = Folding(flat)
    assert all(folding.absorb(equation) for equation in flat.equations)
    return folding, flat.outputs[0]


@pytest.mark.parametrize(
    "fn",
    [
        lambda a, b: a + b * 2 - jnp.sqrt(jnp.abs(b)),
        lambda a, b: (a * b).T.reshape(2, 6),
        lambda a, b: jnp.broadcast_to(a[:, None], (4, 5, 3)),
        lambda a, b: jnp.where(a > b, a, jnp.exp(b)),
        lambda a, b: jnp.sort(a, 0) @ b.T,  # by JAX itself
        lambda a, b: jnp.cumsum(a, 1),
        lambda a, b: jax.lax.fori_loop(0, 3, lambda i, c: c * a + b, a),
    ],
)
def test_values_equal_jax(fn):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(4, 3)).astype(np.float32) for _ in range(2))
    folding, number = _folded(fn, a, b)
    want = np.asarray(fn(a, b))
    np.testing.assert_allclose(folding.array(number), want, rtol=1e-5, atol=1e-6)
    assert folding[number].shape == want.shape and folding[number].known


def test_shapes_stay_unknown():
    a = jax.ShapeDtypeStruct((4, 3), np.float32)
    b = np.ones((4, 3), np.float32)
    folding, number = _folded(lambda a, b: a @ b.T, a, b)
    assert not folding[number].known and folding.array(number) is None
    assert folding[number].shape == (4, 4)
    assert folding[number].paths == {"0", "1"}


@pytest.mark.parametrize(
    "fn, axes, compact",
    [
        (lambda c: c, {0}, (3,)),
        (lambda c: c.reshape(1, 1, 1, 3), {3}, (1, 1, 1, 3)),
        (lambda c: jnp.broadcast_to(c, (1, 4, 5, 3)), {3}, (1, 1, 1, 3)),
        (lambda c: jnp.broadcast_to(c * 2 + 1, (4, 3)) * 3, {1}, (1, 3)),
        (lambda c: jnp.full((4, 5), 2.0), set(), (1, 1)),
        (lambda c: jnp.broadcast_to(c[:, None], (3, 4)), {0}, (3, 1)),
        (lambda c: jnp.outer(c, c), {0, 1}, (3, 3)),
        (lambda c: c.reshape(3, 1).T, {0, 1}, (1, 3)),
    ],
)
def test_axes_along_which_a_value_may_vary(fn, axes, compact):
    folding, number = _folded(fn, np.arange(1, 4, dtype=np.float32))
    assert folding[number].axes <= axes or folding[number].axes == axes
    if axes != {0, 1}:
        assert folding[number].axes == axes
    assert folding.compact(number).shape == compact
    whole = folding.array(number)
    np.testing.assert_array_equal(
        np.broadcast_to(folding.compact(number), whole.shape), whole
    )


def test_activations_are_not_absorbed():
    x = np.zeros((1, 3), np.float32)
    flat = _jaxpr.flatten(lambda p, x: x * p + p, np.ones(3, np.float32), [x])
    folding = Folding(flat)
    assert [folding.absorb(e) for e in flat.equations].count(True) < len(flat.equations)
    assert flat.outputs[0] not in folding and flat.inputs[0] not in folding
