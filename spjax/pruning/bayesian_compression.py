"""Bayesian Compression, group normal-Jeffreys (Louizos, Ullrich & Welling 2017).

Groups of weights share a scale: w = z * v with z ~ N(mu_z, sigma_z^2) one number per
group and v ~ N(theta, sigma^2) one per weight. Groups are the input features of a
dense layer and the output channels of a convolution, so that a group that goes is a
feature map or a unit of the layer before. The prior is p(z) ~ 1/|z|, w | z ~ N(0, z^2):

* KL(z) is that of Sparse Variational Dropout, log alpha_z = log sigma_z^2 - log mu_z^2;
* KL(w | z) = sum of 0.5 * (-log sigma^2 + sigma^2 + theta^2 - 1), whatever z is.

sigma^2 is the variance in both. (The authors' public code for convolutions took its
logarithm for that of the deviation; they confirmed the slip and the form used here.)
A group is removed at log alpha_z >= 3; the weights of inference are mu_z * theta.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from spjax.pruning import gaussian
from spjax.pruning.sparse_vd import THRESHOLD, kl_divergence, log_alpha

__all__ = [
    "THRESHOLD",
    "conv",
    "dense",
    "kl",
    "kl_weights",
    "log_alpha",
    "mask",
    "prune_conv",
    "prune_dense",
    "scales",
]


def kl_weights(theta: jax.Array, log_sigma2: jax.Array) -> jax.Array:
    """KL(q(w | z) || N(0, z^2)) of each weight; it does not depend on z.

    Args:
      theta: means before scaling, any shape.
      log_sigma2: log variances before scaling, same shape.

    Returns:
      Same shape, not negative.
    """
    return 0.5 * (jnp.exp(log_sigma2) + jnp.square(theta) - 1 - log_sigma2)


def kl(
    theta: jax.Array,
    log_sigma2: jax.Array,
    scale: jax.Array,
    scale_log_sigma2: jax.Array,
) -> jax.Array:
    """Divergence of one layer's posterior, in nats: KL(z) + KL(w | z).

    Args:
      theta: means of the weights before scaling, any shape.
      log_sigma2: log variances of the weights before scaling, same shape.
      scale: means mu_z of the scales, (groups,).
      scale_log_sigma2: log variances of the scales, (groups,).

    Returns:
      Scalar.
    """
    scales = jnp.sum(kl_divergence(log_alpha(scale, scale_log_sigma2)))
    return scales + jnp.sum(kl_weights(theta, log_sigma2))


def mask(
    scale: jax.Array, scale_log_sigma2: jax.Array, *, threshold: float = THRESHOLD
) -> jax.Array:
    """Which groups are kept: those with log alpha_z below the threshold.

    Args:
      scale: means of the scales, (groups,).
      scale_log_sigma2: log variances of the scales, (groups,).
      threshold: log alpha_z from which a group is removed.

    Returns:
      Bool array, (groups,).
    """
    return log_alpha(scale, scale_log_sigma2) < threshold


def scales(
    key: jax.Array,
    scale: jax.Array,
    scale_log_sigma2: jax.Array,
    shape: tuple[int, ...] = (),
) -> jax.Array:
    """Draws scales z of the groups, for layers in a layout of the user's own.

    Args:
      key: PRNG key.
      scale: means, (groups,).
      scale_log_sigma2: log variances, (groups,).
      shape: of the independent draws, such as ``(N,)`` for one an example.

    Returns:
      (*shape, groups).
    """
    shape = (*shape, *jnp.shape(scale))
    return gaussian.sample(
        key,
        jnp.broadcast_to(scale, shape),
        jnp.broadcast_to(jnp.exp(scale_log_sigma2), shape),
    )


def dense(
    key: jax.Array,
    x: jax.Array,
    theta: jax.Array,
    log_sigma2: jax.Array,
    scale: jax.Array,
    scale_log_sigma2: jax.Array,
    bias: jax.Array | None = None,
) -> jax.Array:
    """A sample of a dense layer with a scale on each input feature.

    Args:
      key: PRNG key.
      x: inputs, float (..., in).
      theta: means of the weights before scaling, (in, out).
      log_sigma2: log variances of the weights before scaling, (in, out).
      scale: means of the scales, (in,).
      scale_log_sigma2: log variances of the scales, (in,).
      bias: (out,) or None.

    Returns:
      (..., out); scales and noise are drawn per example.
    """
    scale_key, key = jax.random.split(key)
    z = scales(scale_key, scale, scale_log_sigma2, x.shape[:-1])
    moments = gaussian.dense_moments(x * z, theta, log_sigma2)
    out = gaussian.sample(key, *moments)
    return out if bias is None else out + bias


def conv(
    key: jax.Array,
    x: jax.Array,
    theta: jax.Array,
    log_sigma2: jax.Array,
    scale: jax.Array,
    scale_log_sigma2: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: gaussian.Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """A sample of a convolution with a scale on each output channel.

    Args:
      key: PRNG key.
      x: inputs, float (N, *spatial, in).
      theta: means of the weights before scaling, (*window, in / groups, out).
      log_sigma2: log variances of the weights before scaling, same shape.
      scale: means of the scales, (out,).
      scale_log_sigma2: log variances of the scales, (out,).
      bias: (out,) or None, not scaled.
      strides: step of the window, in pixels, one number or one per axis.
      padding: ``"SAME"``, ``"VALID"`` or pairs of pixels per axis.
      dilation: spacing of the window's taps, in pixels, one number or one per axis.
      groups: number of groups that channels are split into.

    Returns:
      (N, *spatial, out); scales are drawn per example, noise per output.
    """
    how = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    scale_key, key = jax.random.split(key)
    mean, variance = gaussian.conv_moments(x, theta, log_sigma2, **how)
    shape = (mean.shape[0], *[1] * (mean.ndim - 2))
    z = scales(scale_key, scale, scale_log_sigma2, shape)
    out = z * gaussian.sample(key, mean, variance)
    return out if bias is None else out + bias


def prune_dense(
    theta: jax.Array,
    scale: jax.Array,
    scale_log_sigma2: jax.Array,
    *,
    threshold: float = THRESHOLD,
) -> jax.Array:
    """Weights of inference of a dense layer; removed input features are zero rows.

    Args:
      theta: means of the weights before scaling, (in, out).
      scale: means of the scales, (in,).
      scale_log_sigma2: log variances of the scales, (in,).
      threshold: log alpha_z from which a group is removed.

    Returns:
      (in, out).
    """
    kept = mask(scale, scale_log_sigma2, threshold=threshold)
    return jnp.where(kept[:, None], theta * scale[:, None], 0)


def prune_conv(
    theta: jax.Array,
    scale: jax.Array,
    scale_log_sigma2: jax.Array,
    *,
    threshold: float = THRESHOLD,
) -> jax.Array:
    """Weights of inference of a convolution; removed output channels are zero.

    Args:
      theta: means of the weights before scaling, (*window, in / groups, out).
      scale: means of the scales, (out,).
      scale_log_sigma2: log variances of the scales, (out,).
      threshold: log alpha_z from which a group is removed.

    Returns:
      Same shape as ``theta``.
    """
    kept = mask(scale, scale_log_sigma2, threshold=threshold)
    return jnp.where(kept, theta * scale, 0)
