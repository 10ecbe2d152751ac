"""Linear layers whose weights are independent Gaussians.

With w ~ N(theta, sigma^2) a sum over w is Gaussian as well: mean x * theta, variance
x^2 * sigma^2. Sampling the sum instead of the weights gives every example a noise of
its own and gradients of lower variance: the local reparametrisation of Kingma,
Salimans & Welling 2015.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

Padding = str | Sequence[tuple[int, int]]


def dense_moments(
    x: jax.Array, theta: jax.Array, log_sigma2: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of ``x @ w``.

    Args:
      x: inputs, float (..., in).
      theta: means of the weights, (in, out).
      log_sigma2: log variances of the weights, (in, out).

    Returns:
      Mean and variance, each (..., out).
    """
    return x @ theta, jnp.square(x) @ jnp.exp(log_sigma2)


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolution over any number of spatial axes, channels last.

    Args:
      x: inputs, float (N, *spatial, in).
      kernel: weights, (*window, in / groups, out).
      strides: step of the window, in pixels, one number or one per axis.
      padding: ``"SAME"``, ``"VALID"`` or pairs of pixels per axis.
      dilation: spacing of the window's taps, in pixels, one number or one per axis.
      groups: number of groups that channels are split into.

    Returns:
      Outputs, (N, *spatial, out).
    """
    n = x.ndim - 2
    spatial = "DHW"[-n:] if n <= 3 else "".join(chr(ord("a") + i) for i in range(n))
    numbers = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    return lax.conv_general_dilated(
        x,
        kernel,
        _per_axis(strides, n),
        padding if isinstance(padding, str) else [tuple(p) for p in padding],
        rhs_dilation=_per_axis(dilation, n),
        dimension_numbers=numbers,
        feature_group_count=groups,
    )


def conv_moments(
    x: jax.Array,
    theta: jax.Array,
    log_sigma2: jax.Array,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of the convolution of ``x`` with w; arguments as ``conv``.

    Neighbouring outputs share weights and are correlated; as in the papers, only the
    mean and the variance of each are kept.

    Args:
      x: inputs, float (N, *spatial, in).
      theta: means of the weights, (*window, in / groups, out).
      log_sigma2: log variances of the weights, same shape.
      strides: see ``conv``.
      padding: see ``conv``.
      dilation: see ``conv``.
      groups: see ``conv``.

    Returns:
      Mean and variance, each (N, *spatial, out).
    """
    how = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    return conv(x, theta, **how), conv(jnp.square(x), jnp.exp(log_sigma2), **how)


def sample(key: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
    """Draws N(mean, variance); its gradient is finite where the variance is zero.

    Args:
      key: PRNG key.
      mean: any shape.
      variance: same shape, not negative.

    Returns:
      Same shape and dtype as the mean.
    """
    noisy = variance > 0
    deviation = jnp.where(noisy, jnp.sqrt(jnp.where(noisy, variance, 1.0)), 0.0)
    return mean + deviation * jax.random.normal(key, mean.shape, mean.dtype)


def _per_axis(value: int | Sequence[int], n: int) -> tuple[int, ...]:
    return (value,) * n if isinstance(value, int) else tuple(value)
