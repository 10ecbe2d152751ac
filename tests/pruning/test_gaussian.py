"""Moments of Gaussian layers against sampled weights; geometry against Flax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax.pruning import gaussian

RNG = np.random.default_rng(0)
KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


GEOMETRIES = [
    dict(),
    dict(padding="VALID", strides=2),
    dict(padding=((1, 0), (2, 1)), strides=(2, 1)),
    dict(groups=2, dilation=2),
    dict(groups=4, padding="VALID", strides=(1, 3)),
]


@pytest.mark.parametrize("how", GEOMETRIES)
def test_conv_is_that_of_flax(how):
    groups = how.get("groups", 1)
    x, kernel = normal(2, 9, 8, 4), normal(3, 2, 4 // groups, 8)
    layer = nn.Conv(
        8,
        (3, 2),
        strides=how.get("strides", 1),
        padding=how.get("padding", "SAME"),
        kernel_dilation=how.get("dilation", 1),
        feature_group_count=groups,
        use_bias=False,
    )
    want = layer.apply({"params": {"kernel": kernel}}, x)
    np.testing.assert_allclose(gaussian.conv(x, kernel, **how), want, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 3])
def test_conv_over_one_and_three_axes(axes):
    x, kernel = normal(2, *[5] * axes, 3), normal(*[2] * axes, 3, 4)
    layer = nn.Conv(4, (2,) * axes, use_bias=False)
    want = layer.apply({"params": {"kernel": kernel}}, x)
    np.testing.assert_allclose(gaussian.conv(x, kernel), want, atol=1e-5)


def by_sampling(function, theta, log_sigma2, draws=20_000):
    """Mean and variance of function(w) over sampled weights."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(20, draws // 20, *theta.shape)).astype(np.float32)

    def moments(noise):
        out = jax.vmap(lambda e: function(theta + jnp.exp(log_sigma2 / 2) * e))(noise)
        return out.mean(axis=0), jnp.square(out).mean(axis=0)

    moments = jax.jit(moments)
    first, second = (sum(x) / 20 for x in zip(*map(moments, noise), strict=True))
    return first, second - first**2


def assert_moments(got, want, draws=20_000):
    """Within five standard errors of the mean; the variance within 10 %."""
    error = np.sqrt(np.asarray(want[1]) / draws)
    assert (np.abs(got[0] - want[0]) < 5 * error + 1e-5).all()
    np.testing.assert_allclose(got[1], want[1], rtol=0.1, atol=1e-5)


def test_dense_moments():
    x, theta, log_sigma2 = normal(3, 4), normal(4, 5), normal(4, 5) - 1
    want = by_sampling(lambda w: x @ w, theta, log_sigma2)
    assert_moments(gaussian.dense_moments(x, theta, log_sigma2), want)


@pytest.mark.parametrize("how", GEOMETRIES[2:])
def test_conv_moments(how):
    groups = how.get("groups", 1)
    shape = (3, 2, 4 // groups, 4)
    x, theta, log_sigma2 = normal(1, 5, 5, 4), normal(*shape), normal(*shape) - 1
    want = by_sampling(lambda w: gaussian.conv(x, w, **how), theta, log_sigma2)
    assert_moments(gaussian.conv_moments(x, theta, log_sigma2, **how), want)


def test_sample():
    mean, variance = normal(1, 3), jnp.array([[0.0, 1.0, 4.0]])
    many = jnp.broadcast_to(mean, (40_000, 3)), jnp.broadcast_to(variance, (40_000, 3))
    draws = np.asarray(gaussian.sample(KEY, *many))
    np.testing.assert_allclose(draws.mean(axis=0), mean[0], atol=0.05)
    np.testing.assert_allclose(draws.var(axis=0), variance[0], rtol=0.03, atol=1e-6)
    np.testing.assert_array_equal(draws[:, 0], np.full(40_000, mean[0, 0]))


def test_gradients_are_finite_where_there_is_no_noise():
    key, zeros = KEY, jnp.zeros((2, 3))

    def loss(x, log_sigma2):  # x = 0 makes the variance exactly zero
        return gaussian.sample(
            key, *gaussian.dense_moments(x, zeros.T, log_sigma2)
        ).sum()

    grads = jax.grad(loss, argnums=(0, 1))(zeros, zeros.T)
    assert all(np.isfinite(g).all() for g in grads)
