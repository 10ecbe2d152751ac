"""Batch norm with a gradient of its own against JAX's of the formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax.networks.batch_norm import EPSILON, batch_norm


def formula(x, scale, bias, axis):
    axes = tuple(a for a in range(x.ndim) if a != axis)
    mean, variance = jnp.mean(x, axes, keepdims=True), jnp.var(x, axes, keepdims=True)
    shape = [-1 if a == axis else 1 for a in range(x.ndim)]
    normed = (x - mean) / jnp.sqrt(variance + EPSILON)
    return normed * scale.reshape(shape) + bias.reshape(shape)


@pytest.mark.parametrize("axis", [1, 3])
def test_values_statistics_and_gradients(axis):
    rng = np.random.default_rng(axis)
    shape = [5, 4, 3, 7]
    x = rng.normal(3.0, 2.0, shape).astype(np.float32)
    scale, bias = rng.normal(size=(2, shape[axis])).astype(np.float32)
    slope = rng.normal(size=shape).astype(np.float32)
    wanted, pull = jax.vjp(lambda *a: formula(*a, axis), x, scale, bias)
    (y, mean, variance), own = jax.vjp(lambda *a: batch_norm(*a, axis), x, scale, bias)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    axes = tuple(a for a in range(4) if a != axis)
    np.testing.assert_allclose(mean, x.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(variance, x.var(axes), rtol=1e-5)
    zeros = np.zeros_like(mean)
    for found, expected in zip(own((slope, zeros, zeros)), pull(slope), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
