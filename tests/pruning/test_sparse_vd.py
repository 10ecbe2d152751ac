"""Sparse Variational Dropout: the divergence, the layers, posteriors of trees."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import integrate

from spjax.pruning import gaussian, sparse_vd

RNG = np.random.default_rng(0)
KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def kl_by_integration(log_alpha):
    """E log|e| - log(alpha) / 2 for e ~ N(1, alpha), zero in the limit of alpha."""
    deviation = math.exp(log_alpha / 2)

    def integrand(t):  # e = 1 + deviation * t
        return math.log(abs(1 + deviation * t)) * math.exp(-t * t / 2)

    pole = -1 / deviation
    cuts = sorted({-12.0, 0.0, 12.0, *([pole] if -12 < pole < 0 else [])})
    total = sum(
        integrate.quad(integrand, a, b, limit=200)[0]
        for a, b in zip(cuts[:-1], cuts[1:], strict=True)
    )
    limit = -0.5 * (np.euler_gamma + math.log(2))  # E log|N(0, 1)|
    return total / math.sqrt(2 * math.pi) - 0.5 * log_alpha - limit


def test_kl_against_numerical_integration():
    grid = np.linspace(-8, 8, 33)
    want = np.array([kl_by_integration(a) for a in grid])
    got = np.asarray(sparse_vd.kl_divergence(jnp.asarray(grid, jnp.float32)))
    # The approximation's own error; a constant that is off by 3 % makes it larger.
    assert np.abs(got - want).max() < 0.0098
    assert np.sqrt(np.mean((got - want) ** 2)) < 0.0039
    # At alpha = 1 in closed form through Kummer's function, worked out beforehand:
    # KL(1) = 0.5 * (euler_gamma + log 2) + E log|N(1, 1)|.
    rng = np.random.default_rng(0)
    sampled = np.log(np.abs(1 + rng.normal(size=2_000_000))).mean()
    assert kl_by_integration(0.0) == pytest.approx(
        sampled + 0.5 * (np.euler_gamma + math.log(2)), abs=4e-3
    )


def test_kl_falls_to_zero():
    grid = jnp.linspace(-20, 20, 81)
    values = np.asarray(sparse_vd.kl_divergence(grid))
    assert (np.diff(values) < 1e-6).all() and (values >= 0).all()
    assert values[-1] < 1e-6
    slopes = jax.vmap(jax.grad(sparse_vd.kl_divergence))(jnp.array([-90.0, 0.0, 90.0]))
    assert np.isfinite(slopes).all()


def test_log_alpha_and_mask():
    theta = jnp.array([1.0, 0.1, 0.1, 0.0])
    log_sigma2 = jnp.array([2.0, -5.0, -1.0, -10.0])
    want = np.asarray(log_sigma2)[:3] - np.log(np.asarray(theta)[:3] ** 2)
    got = sparse_vd.log_alpha(theta, log_sigma2)
    np.testing.assert_allclose(got[:3], want, rtol=1e-5)
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(
        sparse_vd.mask(theta, log_sigma2), [True, True, False, False]
    )
    assert sparse_vd.mask(theta, log_sigma2, threshold=4.0)[2]


def test_dense_has_the_moments_and_noise_of_its_own_per_example():
    x, theta, log_sigma2, bias = normal(4), normal(4, 3), normal(4, 3) - 1, normal(3)
    rows = jnp.broadcast_to(x, (40_000, 4))
    out = np.asarray(sparse_vd.dense(KEY, rows, theta, log_sigma2, bias))
    mean, variance = gaussian.dense_moments(x, theta, log_sigma2)
    error = np.sqrt(np.asarray(variance) / len(rows))
    assert (np.abs(out.mean(axis=0) - (mean + bias)) < 5 * error).all()
    np.testing.assert_allclose(out.var(axis=0), variance, rtol=0.05)
    assert abs(np.corrcoef(out[::2, 0], out[1::2, 0])[0, 1]) < 0.04


def test_conv_has_the_moments():
    how = dict(strides=2, padding="VALID", groups=2)
    x, theta, log_sigma2 = normal(5, 5, 4), normal(3, 3, 2, 4), normal(3, 3, 2, 4) - 1
    rows = jnp.broadcast_to(x, (20_000, 5, 5, 4))
    out = sparse_vd.conv(KEY, rows, theta, log_sigma2, jnp.ones(4), **how)
    mean, variance = gaussian.conv_moments(x[None], theta, log_sigma2, **how)
    error = np.sqrt(np.asarray(variance[0]) / len(rows))
    assert (np.abs(np.mean(out, axis=0) - (mean[0] + 1)) < 5 * error).all()
    np.testing.assert_allclose(np.var(out, axis=0), variance[0], rtol=0.06)


PARAMS = {"layer": {"kernel": normal(4, 3), "bias": normal(3)}, "head": normal(3, 2)}


def test_posterior_of_a_tree():
    q = sparse_vd.posterior(PARAMS, log_sigma2=-4.0)
    assert sorted(q.log_sigma2) == ["head", "layer/kernel"]
    want = sum(
        float(jnp.sum(sparse_vd.kl_divergence(sparse_vd.log_alpha(w, -4.0))))
        for w in (PARAMS["head"], PARAMS["layer"]["kernel"])
    )
    assert float(sparse_vd.kl(q)) == pytest.approx(want, rel=1e-5)
    draws = jax.jit(jax.vmap(lambda k: sparse_vd.sample(k, q)))(
        jax.random.split(jax.random.key(0), 20_000)
    )
    np.testing.assert_allclose(draws["head"].mean(axis=0), PARAMS["head"], atol=0.01)
    np.testing.assert_allclose(draws["head"].std(axis=0), math.exp(-2), rtol=0.05)
    np.testing.assert_array_equal(draws["layer"]["bias"][7], PARAMS["layer"]["bias"])
    assert abs(np.corrcoef(draws["head"][:, 0, 0], draws["head"][:, 1, 0])[0, 1]) < 0.04


def test_prune_and_masks_of_a_tree():
    q = sparse_vd.posterior(PARAMS, log_sigma2=1.0)
    pruned, masks = sparse_vd.prune(q), sparse_vd.masks(q)
    kernel = PARAMS["layer"]["kernel"]
    keep = np.asarray(sparse_vd.log_alpha(kernel, 1.0) < 3.0)
    assert 0 < keep.sum() < keep.size
    np.testing.assert_array_equal(masks["layer"]["kernel"], keep)
    np.testing.assert_array_equal(pruned["layer"]["kernel"], np.where(keep, kernel, 0))
    assert bool(masks["layer"]["bias"]) and masks["layer"]["bias"].shape == ()
    np.testing.assert_array_equal(pruned["layer"]["bias"], PARAMS["layer"]["bias"])


def test_training_a_posterior_finds_the_useless_inputs():
    """Linear regression on 20 inputs of which 4 matter, in a bare tree."""
    x = normal(256, 20)
    truth = np.zeros((20, 1), np.float32)
    truth[:4] = [[2.0], [-1.5], [1.0], [0.8]]
    noise = np.random.default_rng(1).normal(size=(256, 1))
    noise -= x @ np.linalg.lstsq(np.asarray(x), noise)[0]  # none of it fits the inputs
    y = x @ truth + 0.5 * jnp.asarray(noise, jnp.float32)
    q = sparse_vd.posterior({"kernel": 0.3 * normal(20, 1)}, log_sigma2=-6.0)
    optimiser = optax.adam(0.02)

    def loss(q, key, weight):
        def fit(layer, key):
            w, v = layer.theta["kernel"], layer.log_sigma2["kernel"]
            return jnp.sum((sparse_vd.dense(key, x, w, v) - y) ** 2) / (2 * 0.5**2)

        return fit(q, key) + weight * sparse_vd.kl(q)

    def step(carry, t):
        q, state = carry
        key = jax.random.fold_in(KEY, t)
        grads = jax.grad(loss)(q, key, jnp.minimum(t / 500, 1.0))
        updates, state = optimiser.update(grads, state, q)
        return (optax.apply_updates(q, updates), state), None

    run = jax.jit(lambda c: jax.lax.scan(step, c, jnp.arange(10_000))[0])
    q, _ = run((q, optimiser.init(q)))
    (noise_to_signal,) = (
        np.asarray(sparse_vd.log_alpha(q.theta["kernel"], v))[:, 0]
        for v in q.log_sigma2.values()
    )
    # The two kinds of input part by several nats, on both sides of the threshold.
    assert noise_to_signal[:4].max() < -5 and noise_to_signal[4:].min() > 1
    assert np.median(noise_to_signal[4:]) > sparse_vd.THRESHOLD
    pruned = sparse_vd.prune(q, threshold=1.0)["kernel"]
    np.testing.assert_array_equal(np.flatnonzero(pruned), [0, 1, 2, 3])
    np.testing.assert_allclose(pruned, truth, atol=0.03)


def test_linear_takes_any_layout():
    """A depthwise convolution in [H, C, W, N] against its weights drawn one by one."""
    rng = np.random.default_rng(4)
    draws = 40_000
    x = rng.normal(size=(4, 2, 5)).astype(np.float32)
    theta = rng.normal(size=(3, 2)).astype(np.float32)
    log_sigma2 = rng.normal(-1, 0.5, (3, 2)).astype(np.float32)

    def operation(x, w):
        """Slides a window of three rows over H, channel by channel."""
        return sum(x[i : i + 2] * w[i, :, None, None] for i in range(3))

    many = jnp.repeat(x[..., None], draws, -1)
    got = sparse_vd.linear(jax.random.key(0), operation, many, theta, log_sigma2)
    assert got.shape == (2, 2, 5, draws)
    w = theta + np.exp(log_sigma2 / 2) * rng.normal(size=(draws, 3, 2))
    want = sum(x[i : i + 2] * w[:, None, i, :, None] for i in range(3))
    np.testing.assert_allclose(got.mean(-1), want.mean(0), atol=0.05)
    np.testing.assert_allclose(got.var(-1), want.var(0), rtol=0.06)
    # Each output has noise of its own.
    assert abs(np.corrcoef(got[0, 0, 0], got[1, 0, 0])[0, 1]) < 0.05
