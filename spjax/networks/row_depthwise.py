"""Depthwise convolution as a sum of shifted images, for training on a CPU.

XLA computes a depthwise convolution and its gradients on a CPU one channel at a
time, 15 to 30 times slower than this. With the layout [H, C, W, N] of
``row_conv`` and K * K shifts of the image

    y = sum_ij k[i, j] * x[i :: s, :, j :: s]

is one fused loop over contiguous vectors. The gradient in x is the same sum over dy
with the kernel flipped; the gradient in k[i, j] is a dot product of dy and the
shifted image, summed row by row.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from spjax.networks.row_conv import output_size, pads, shifts


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def row_depthwise(
    x: jax.Array, kernel: jax.Array, stride: int, padding: str
) -> jax.Array:
    """Convolves each channel of ``x`` with its own filter.

    Args:
      x: images [H, C, W, N], floating point.
      kernel: [K, K, 1, C].
      stride: step in both directions, in pixels.
      padding: ``SAME`` or ``VALID``, as in ``jax.lax``.

    Returns:
      [H', C, W', N].
    """
    rows, columns = pads(x, kernel.shape[0], stride, padding)
    height, width = output_size(x, kernel.shape[0], stride, padding)
    x = jnp.pad(x, (rows, (0, 0), columns, (0, 0)))
    return _correlate(x, kernel, stride, height, width)


def _correlate(
    x: jax.Array, kernel: jax.Array, stride: int, height: int, width: int
) -> jax.Array:
    side, _, _, channels = kernel.shape
    last_row, last_column = (height - 1) * stride + 1, (width - 1) * stride + 1
    shape = (height, channels, width, x.shape[3])
    total = None
    # Primitives, not indexing: up to 25 taps are traced one by one.
    for i in range(side):
        for j in range(side):
            start, stop = (i, 0, j, 0), (i + last_row, channels, j + last_column)
            image = lax.slice(x, start, (*stop, x.shape[3]), (stride, 1, stride, 1))
            tap = lax.slice(kernel, (i, j, 0, 0), (i + 1, j + 1, 1, channels))
            tap = lax.broadcast_in_dim(tap.reshape(channels), shape, (1,))
            term = lax.mul(image, tap)
            total = term if total is None else lax.add(total, term)
    return total


def _forward(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> tuple:
    return row_depthwise(x, kernel, stride, padding), (x, kernel)


def _backward(stride: int, padding: str, residuals: tuple, dy: jax.Array) -> tuple:
    x, kernel = residuals
    side, _, _, channels = kernel.shape
    height, _, width, _ = x.shape

    # dy, spread out by the stride and padded such that x[r] meets dy[(r - i) / s].
    amounts = []
    for size, (low, _), count in zip(
        (height, width),
        pads(x, side, stride, padding),
        (dy.shape[0], dy.shape[2]),
        strict=True,
    ):
        before = side - 1 - low
        spread = (count - 1) * stride + 1
        amounts.append((before, size + side - 1 - before - spread, stride - 1))
    none = (0, 0, 0)
    spread_dy = lax.pad(
        dy, jnp.zeros((), dy.dtype), (amounts[0], none, amounts[1], none)
    )
    dx = _correlate(spread_dy, jnp.flip(kernel, (0, 1)), 1, height, width)

    shifted = shifts(x, side, stride, padding)
    shifted = shifted.reshape(shifted.shape[0], side, channels, *shifted.shape[2:])

    def one_row(row: jax.Array, d_kernel: jax.Array) -> jax.Array:
        rows = lax.dynamic_slice_in_dim(shifted, row * stride, side, 0)
        dy_row = lax.dynamic_index_in_dim(dy, row, 0, False)
        return d_kernel + jnp.sum(rows * dy_row, (-2, -1))

    start = jnp.zeros((side, side, channels), kernel.dtype)
    d_kernel = lax.fori_loop(0, dy.shape[0], one_row, start)
    return dx, d_kernel.reshape(kernel.shape)


row_depthwise.defvjp(_forward, _backward)
