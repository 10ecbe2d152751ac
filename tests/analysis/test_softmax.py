"""Softmax by structure: what is one, what only looks like one."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax import analysis


def _by_hand(x):
    e = jnp.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _without_maximum(x):
    e = jnp.exp(x)
    return e / e.sum(-1, keepdims=True)


def _log_by_hand(x):
    shifted = x - jnp.max(x, axis=-1, keepdims=True)
    return shifted - jnp.log(jnp.sum(jnp.exp(shifted), axis=-1, keepdims=True))


@pytest.mark.parametrize(
    "fn, log",
    [
        (nn.softmax, False),
        (jax.nn.softmax, False),
        (_by_hand, False),
        (_without_maximum, False),
        (nn.log_softmax, True),
        (_log_by_hand, True),
    ],
)
def test_one_operation_and_the_same_numbers(fn, log):
    x = np.random.default_rng(0).normal(size=(1, 3, 7)).astype(np.float32)
    program = analysis.trace(lambda _, x: fn(x), (), x)
    (op,) = program.operations
    assert op.kind == "softmax"
    assert op.attribute("log") == log and op.attribute("axis") == 2
    got = analysis.evaluate(program, {"input": x})["softmax"]
    np.testing.assert_allclose(got, fn(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: jnp.exp(x) / jnp.exp(2 * x).sum(-1, keepdims=True),
        lambda x: jnp.exp(x) / jnp.exp(x).max(-1, keepdims=True),
        lambda x: jnp.exp(x - x.max(-1, keepdims=True)) / 3,
        lambda x: (x - x.max(-1, keepdims=True)) - jnp.log(jnp.exp(x).sum(-1)),
    ],
)
def test_near_misses_stay_what_they_are(fn):
    x = np.random.default_rng(0).normal(size=(1, 7)).astype(np.float32)
    program = analysis.trace(lambda _, x: fn(x), (), x)
    assert "softmax" not in [op.kind for op in program.operations]
    got = analysis.evaluate(program, {"input": x})[program.outputs[0]]
    np.testing.assert_allclose(got, fn(x), rtol=1e-5, atol=1e-6)


def test_the_maximum_along_another_axis_is_subtracted_apart():
    """Softmax of x - m is right for any m; m itself must then be computed."""
    x = np.random.default_rng(0).normal(size=(1, 4, 5)).astype(np.float32)

    def fn(x):
        e = jnp.exp(x - x.max(1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    program = analysis.trace(lambda _, x: fn(x), (), x)
    assert [op.kind for op in program.operations] == [
        "reduce",
        "elementwise",
        "softmax",
    ]
    got = analysis.evaluate(program, {"input": x})[program.outputs[0]]
    np.testing.assert_allclose(got, fn(x), rtol=1e-5, atol=1e-6)
