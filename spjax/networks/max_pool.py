"""Max pooling for training on a CPU.

XLA's gradient of ``reduce_window_max`` (select-and-scatter) is slow on a CPU. With
window = stride the windows do not overlap: a reshape gives each its own axes, and the
pooling is the elementwise maximum of the w * w images that have one pixel of each
window. The backward pass compares the input with its maximum again. Elementwise
operations fuse, a reduction over the window would not: nothing as large as the input
is kept but the input.
"""

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool(x: jax.Array, window: int) -> jax.Array:
    """Maximum over ``window`` x ``window`` squares; the remainder is cropped.

    Where several entries of a square are its maximum they share the gradient evenly
    (a subgradient, as is the choice of the first in ``jax.lax``).

    Args:
      x: images [H, C, W, N], floating point.
      window: side and stride of the squares, in pixels.

    Returns:
      [H // window, C, W // window, N].
    """
    return functools.reduce(jnp.maximum, _pixels(_squares(x, window)))


def _squares(x: jax.Array, window: int) -> jax.Array:
    height, channels, width, count = x.shape
    rows, columns = height // window, width // window
    x = x[: rows * window, :, : columns * window]
    return x.reshape(rows, window, channels, columns, window, count)


def _pixels(squares: jax.Array) -> list[jax.Array]:
    """One pixel of each window: window * window images [H', C, W', N]."""
    window = squares.shape[1]
    return [squares[:, i, :, :, j] for i in range(window) for j in range(window)]


def _forward(x: jax.Array, window: int) -> tuple:
    y = max_pool(x, window)
    return y, (x, y)


def _backward(window: int, residuals: tuple, dy: jax.Array) -> tuple:
    x, y = residuals
    squares, unsquare = jax.vjp(lambda x: _squares(x, window), x)
    is_max = squares == jnp.expand_dims(y, (1, 4))
    share = dy / sum((pixel == y).astype(dy.dtype) for pixel in _pixels(squares))
    return unsquare(jnp.where(is_max, jnp.expand_dims(share, (1, 4)), 0))


max_pool.defvjp(_forward, _backward)
