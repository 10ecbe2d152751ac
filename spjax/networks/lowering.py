"""Two ways to compute the same layers.

``INFERENCE`` keeps images as [N, H, W, C] and uses XLA's convolution and window
primitives: what the analysis and the code generator read, and what a GPU wants.
``TRAINING`` keeps them as [H, C, W, N] and uses the forms of ``row_conv``,
``row_depthwise`` and ``max_pool``, which are several times faster on a CPU for few
channels, gradients included. Both agree to rounding.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from spjax.networks.max_pool import max_pool
from spjax.networks.row_conv import row_conv
from spjax.networks.row_depthwise import row_depthwise

# From here on Eigen's convolution is as fast as the row form and copies less.
_WIDE_PATCH = 512
# On small images with a small kernel it is as fast too, and compiles in a third of the
# time. With a stride or without padding Eigen has no fast gradient.
_SMALL_IMAGE, _SMALL_KERNEL, _FEW_CHANNELS = 64, 4, 4

_Conv = Callable[[jax.Array, jax.Array, int, str], jax.Array]


@dataclasses.dataclass(frozen=True)
class Lowering:
    """The operations that a network is built from.

    Attributes:
      axes: where the layout keeps (N, H, W, C).
      conv: ``(x, kernel, stride, padding) -> y`` with a kernel [K, K, C, D].
      depthwise: the same with a kernel [K, K, 1, C], one filter for each channel.
      max_pool: ``(x, window) -> y`` with stride = window, VALID.
      average_pool: ``(x, (height, width)) -> y`` with stride = window, VALID.
    """

    axes: tuple[int, int, int, int]
    conv: _Conv
    depthwise: _Conv
    max_pool: Callable[[jax.Array, int], jax.Array]
    average_pool: Callable[[jax.Array, tuple[int, int]], jax.Array]

    def enter(self, x: jax.Array) -> jax.Array:
        """Brings images [N, H, W, C] into this layout."""
        order = sorted(range(4), key=self.axes.__getitem__)
        return x if order == [0, 1, 2, 3] else x.transpose(order)

    def flatten(self, x: jax.Array) -> jax.Array:
        """Returns features [N, H * W * C], in that order, from this layout."""
        x = x if self.axes == (0, 1, 2, 3) else x.transpose(self.axes)
        return x.reshape(x.shape[0], -1)

    def size(self, x: jax.Array) -> tuple[int, int, int]:
        """Returns (H, W, C) of images in this layout."""
        return tuple(x.shape[axis] for axis in self.axes[1:])

    def spread(self, vector: jax.Array) -> jax.Array:
        """Reshapes a vector [C] so that it broadcasts over images."""
        if self.axes[3] == 3:
            return vector
        return vector.reshape(-1, *[1] * (3 - self.axes[3]))


def _conv(layout: str, depthwise: bool = False) -> _Conv:
    def conv(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
        return lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            padding,
            dimension_numbers=(layout, "HWIO", layout),
            feature_group_count=kernel.shape[3] if depthwise else 1,
        )

    return conv


def _max_pool(x: jax.Array, window: int) -> jax.Array:
    size = (1, window, window, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, size, size, "VALID")


def _average_pool(x: jax.Array, window: tuple[int, int]) -> jax.Array:
    size = (1, *window, 1)
    total = lax.reduce_window(x, 0.0, lax.add, size, size, "VALID")
    return total / (window[0] * window[1])


def _training_conv(
    x: jax.Array, kernel: jax.Array, stride: int, padding: str
) -> jax.Array:
    side, _, channels, _ = kernel.shape
    if side == 1:
        return _pointwise(x[::stride, :, ::stride], kernel[0, 0])
    height, _, width, _ = x.shape
    small = height * width <= _SMALL_IMAGE and side <= _SMALL_KERNEL
    small &= stride == 1 and padding == "SAME" and channels >= _FEW_CHANNELS
    if small or side * side * channels > _WIDE_PATCH:
        return _conv("HCWN")(x, kernel, stride, padding)
    return row_conv(x, kernel, stride, padding)


def _training_depthwise(
    x: jax.Array, kernel: jax.Array, stride: int, padding: str
) -> jax.Array:
    if kernel.shape[3] == 1:
        return _training_conv(x, kernel, stride, padding)
    return row_depthwise(x, kernel, stride, padding)


def _pointwise(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """A 1x1 convolution: one matrix product for each row, without copies."""
    height, channels, width, count = x.shape
    matrices = jnp.broadcast_to(matrix.T, (height, *matrix.T.shape))
    rows = x.reshape(height, channels, width * count)
    y = lax.dot_general(matrices, rows, (((2,), (1,)), ((0,), (0,))))
    return y.reshape(height, -1, width, count)


def _training_average_pool(x: jax.Array, window: tuple[int, int]) -> jax.Array:
    rows, columns = window
    height, channels, width, count = x.shape
    x = x[: height // rows * rows, :, : width // columns * columns]
    x = x.reshape(height // rows, rows, channels, width // columns, columns, count)
    return x.mean((1, 4))


INFERENCE = Lowering(
    (0, 1, 2, 3), _conv("NHWC"), _conv("NHWC", True), _max_pool, _average_pool
)
TRAINING = Lowering(
    (3, 0, 2, 1), _training_conv, _training_depthwise, max_pool, _training_average_pool
)
LOWERINGS = {"inference": INFERENCE, "training": TRAINING}
