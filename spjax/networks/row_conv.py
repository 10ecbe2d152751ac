"""Convolution as one matrix product for each output row, for training on a CPU.

XLA's own CPU convolution is slow for the few channels of microcontroller networks,
its depthwise form most of all. Activations are kept here as [H, C, W, N]: the batch
is the innermost dimension, so that every copy, sum and pooling runs over long
contiguous vectors whatever the number of channels; and a row is one contiguous
block.

Let A[r] be row r of the padded image with its K shifts along W side by side,
[K * C, W', N]. The K rows A[s h .. s h + K - 1] are one contiguous matrix P_h of
shape [K * K * C, W' * N], the input patches of output row h, and with the kernel as a
matrix M of shape [K * K * C, D]

    y[h] = M^T P_h,   dM = sum_h P_h dy[h]^T,   dP_h = M dy[h].

Copies are K times the image, not the K * K times of im2col: this keeps a step's
buffers in the cache, and below the size at which the allocator returns them to the
system (and pays for fresh pages) at every step.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def row_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    """Convolves ``x`` [H, C, W, N] with ``kernel`` [K, K, C, D].

    Args:
      x: images, floating point.
      kernel: square kernel.
      stride: step in both directions, in pixels.
      padding: ``SAME`` or ``VALID``, as in ``jax.lax``.

    Returns:
      [H', D, W', N].
    """
    side, _, _, features = kernel.shape
    height, width = output_size(x, side, stride, padding)
    matrix = kernel.reshape(-1, features)
    shifted = shifts(x, side, stride, padding)

    def one_row(row: jax.Array, y: jax.Array) -> jax.Array:
        patches = _patches(shifted, row * stride, side)
        out = _dot(matrix, patches, 0, 0).reshape(features, width, -1)
        return lax.dynamic_update_index_in_dim(y, out, row, 0)

    y = jnp.zeros((height, features, width, x.shape[3]), x.dtype)
    return lax.fori_loop(0, height, one_row, y)


def _forward(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> tuple:
    return row_conv(x, kernel, stride, padding), (x, kernel)


def _backward(stride: int, padding: str, residuals: tuple, dy: jax.Array) -> tuple:
    x, kernel = residuals
    side, _, _, features = kernel.shape
    matrix = kernel.reshape(-1, features)
    shifted, unshift = jax.vjp(lambda x: shifts(x, side, stride, padding), x)

    def one_row(row: jax.Array, carry: tuple) -> tuple:
        d_shifted, d_matrix = carry
        dy_row = lax.dynamic_index_in_dim(dy, row, 0, False).reshape(features, -1)
        patches = _patches(shifted, row * stride, side)
        d_matrix += _dot(patches, dy_row, 1, 1)
        d_rows = _dot(matrix, dy_row, 1, 0).reshape(side, *shifted.shape[1:])
        d_rows += lax.dynamic_slice_in_dim(d_shifted, row * stride, side, 0)
        d_shifted = lax.dynamic_update_slice_in_dim(d_shifted, d_rows, row * stride, 0)
        return d_shifted, d_matrix

    start = jnp.zeros_like(shifted), jnp.zeros_like(matrix)
    d_shifted, d_matrix = lax.fori_loop(0, dy.shape[0], one_row, start)
    return *unshift(d_shifted), d_matrix.reshape(kernel.shape)


row_conv.defvjp(_forward, _backward)


def pads(x: jax.Array, side: int, stride: int, padding: str) -> list[tuple[int, int]]:
    """Returns ((top, bottom), (left, right)) as ``jax.lax`` pads."""
    sizes = (x.shape[0], x.shape[2])
    return lax.padtype_to_pads(sizes, (side, side), (stride, stride), padding)


def output_size(x: jax.Array, side: int, stride: int, padding: str) -> tuple[int, int]:
    """Returns (H', W')."""
    amounts = pads(x, side, stride, padding)
    sizes = (x.shape[0], x.shape[2])
    return tuple(
        (size + sum(pad) - side) // stride + 1
        for size, pad in zip(sizes, amounts, strict=True)
    )


def shifts(x: jax.Array, side: int, stride: int, padding: str) -> jax.Array:
    """Pads x and puts its K shifts along W side by side: [H + pads, K * C, W', N]."""
    rows, columns = pads(x, side, stride, padding)
    _, width = output_size(x, side, stride, padding)
    x = jnp.pad(x, (rows, (0, 0), columns, (0, 0)))
    last = (width - 1) * stride + 1
    return jnp.concatenate(
        [x[:, :, j : j + last : stride] for j in range(side)], axis=1
    )


def _patches(shifted: jax.Array, row: jax.Array, side: int) -> jax.Array:
    """Returns P_h: [K * K * C, W' * N]."""
    rows = lax.dynamic_slice_in_dim(shifted, row, side, 0)
    return rows.reshape(side * shifted.shape[1], -1)


def _dot(a: jax.Array, b: jax.Array, contract_a: int, contract_b: int) -> jax.Array:
    return lax.dot_general(a, b, (((contract_a,), (contract_b,)), ((), ())))
