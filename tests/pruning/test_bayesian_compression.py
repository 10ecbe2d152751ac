"""Bayesian Compression: divergences by integration, layers by sampling."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from spjax.pruning import bayesian_compression as bc
from spjax.pruning import gaussian, sparse_vd

RNG = np.random.default_rng(0)
KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def density(x, mean, deviation):
    z = (x - mean) / deviation
    return math.exp(-z * z / 2) / (deviation * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("z", [0.3, -1.0, 2.5])
@pytest.mark.parametrize(
    ("theta", "log_sigma2"), [(0.7, -1.0), (-1.3, 0.5), (0.0, 0.0)]
)
def test_kl_of_the_weights_does_not_depend_on_the_scale(z, theta, log_sigma2):
    """KL(N(z theta, z^2 sigma^2) || N(0, z^2)) by quadrature, for several z."""
    mean, deviation = z * theta, abs(z) * math.exp(log_sigma2 / 2)

    def integrand(w):
        q = density(w, mean, deviation)
        return q * (math.log(q) - math.log(density(w, 0.0, abs(z))))

    want, _ = integrate.quad(integrand, mean - 12 * deviation, mean + 12 * deviation)
    got = bc.kl_weights(jnp.float32(theta), jnp.float32(log_sigma2))
    assert float(got) == pytest.approx(want, abs=1e-5)


def test_kl_of_a_layer_is_the_sum_of_both():
    theta, log_sigma2 = normal(4, 3), normal(4, 3)
    scale, scale_log_sigma2 = normal(4), normal(4)
    t, v = np.float64(theta), np.float64(log_sigma2)
    weights = (0.5 * (np.exp(v) + t**2 - 1 - v)).sum()
    ratio = np.asarray(scale_log_sigma2) - np.log(np.asarray(scale) ** 2)
    scales = float(sparse_vd.kl_divergence(jnp.asarray(ratio)).sum())
    got = float(bc.kl(theta, log_sigma2, scale, scale_log_sigma2))
    assert got == pytest.approx(weights + scales, rel=1e-5)


def test_mask():
    scale = jnp.array([1.0, 0.1, 0.1])
    scale_log_sigma2 = jnp.array([2.0, -1.0, -5.0])
    np.testing.assert_array_equal(bc.mask(scale, scale_log_sigma2), [True, False, True])


def product_moments(mean, variance, z_mean, z_variance):
    """Moments of the product of two independent variables."""
    second = (variance + mean**2) * (z_variance + z_mean**2)
    return z_mean * mean, second - (z_mean * mean) ** 2


def test_conv_has_the_moments_of_scale_times_convolution():
    how = dict(strides=(1, 2), padding=((1, 0), (0, 1)), groups=2)
    x, shape = normal(5, 5, 4), (3, 2, 2, 4)
    theta, log_sigma2 = normal(*shape), normal(*shape) - 2
    scale, scale_log_sigma2, bias = normal(4), normal(4) - 2, normal(4)
    rows = jnp.broadcast_to(x, (40_000, 5, 5, 4))
    out = bc.conv(KEY, rows, theta, log_sigma2, scale, scale_log_sigma2, bias, **how)
    moments = gaussian.conv_moments(x[None], theta, log_sigma2, **how)
    mean, variance = product_moments(*moments, scale, jnp.exp(scale_log_sigma2))
    error = np.sqrt(np.asarray(variance[0]) / len(rows))
    assert (np.abs(np.mean(out, axis=0) - (mean[0] + bias)) < 5 * error).all()
    np.testing.assert_allclose(np.var(out, axis=0), variance[0], rtol=0.1)


def test_pixels_of_a_channel_share_their_scale():
    x, theta = normal(1, 5, 5, 2), normal(3, 3, 2, 4)
    rows = jnp.broadcast_to(x, (9, 5, 5, 2))
    still = jnp.full_like(theta, -60.0)  # no noise but that of the scales
    out = bc.conv(KEY, rows, theta, still, jnp.ones(4), jnp.zeros(4))
    ratio = np.asarray(out / gaussian.conv(rows, theta))
    assert np.abs(ratio - ratio[:, :1, :1]).max() < 1e-3
    assert np.abs(ratio[0] - ratio[1]).min() > 1e-3
    assert np.abs(ratio[..., 0] - ratio[..., 1]).min() > 1e-3


def test_dense_has_the_moments_of_scaled_inputs():
    x, theta, log_sigma2 = normal(4), normal(4, 3), normal(4, 3) - 2
    scale, scale_log_sigma2, bias = normal(4), normal(4) - 2, normal(3)
    rows = jnp.broadcast_to(x, (40_000, 4))
    out = bc.dense(KEY, rows, theta, log_sigma2, scale, scale_log_sigma2, bias)
    per_input = product_moments(
        theta, jnp.exp(log_sigma2), scale[:, None], jnp.exp(scale_log_sigma2)[:, None]
    )
    # Outputs are sums over inputs whose scales are independent.
    mean, variance = x @ per_input[0] + bias, x**2 @ per_input[1]
    error = np.sqrt(np.asarray(variance) / len(rows))
    assert (np.abs(np.mean(out, axis=0) - mean) < 5 * error).all()
    np.testing.assert_allclose(np.var(out, axis=0), variance, rtol=0.05)


def test_pruned_weights():
    scale, scale_log_sigma2 = jnp.array([2.0, 0.1, -1.0]), jnp.array([-3.0, 0.0, -3.0])
    keep = np.array([True, False, True])
    theta = normal(3, 4)
    want = np.where(keep[:, None], np.asarray(theta) * np.asarray(scale)[:, None], 0)
    np.testing.assert_allclose(bc.prune_dense(theta, scale, scale_log_sigma2), want)
    kernel = normal(2, 2, 1, 3)
    want = np.where(keep, np.asarray(kernel) * np.asarray(scale), 0)
    np.testing.assert_allclose(bc.prune_conv(kernel, scale, scale_log_sigma2), want)


def test_scales_are_drawn_independently():
    mean = jnp.array([1.0, -2.0, 0.5])
    log_sigma2 = jnp.array([-1.0, 0.0, -200.0])
    z = bc.scales(jax.random.key(0), mean, log_sigma2, (200, 100))
    assert z.shape == (200, 100, 3)
    z = np.asarray(z).reshape(-1, 3)
    np.testing.assert_allclose(z.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(z.var(0), np.exp(log_sigma2), rtol=0.05, atol=1e-9)
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 0.03
    one = bc.scales(jax.random.key(0), mean, log_sigma2)
    assert one.shape == (3,)
