"""Two ways to compute the same convolutions and poolings.

``inference`` uses XLA's own primitives (``conv_general_dilated``,
``reduce_window``), which is what the analysis and the code generator read.
``training`` uses whatever is fastest on a CPU, gradient included.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@dataclasses.dataclass(frozen=True)
class Lowering:
    """The operations that a network is built from.

    Attributes:
      conv: ``(x, kernel, stride, padding) -> y``, ``x`` of shape [N, H, W, C] and
        ``kernel`` of shape [K, K, C, D].
      depthwise: the same with ``kernel`` of shape [K, K, 1, C], one filter a channel.
      max_pool: ``(x, window) -> y`` with stride = window, VALID.
      average_pool: ``(x, (height, width)) -> y`` with stride = window, VALID.
    """

    conv: Callable[[jax.Array, jax.Array, int, str], jax.Array]
    depthwise: Callable[[jax.Array, jax.Array, int, str], jax.Array]
    max_pool: Callable[[jax.Array, int], jax.Array]
    average_pool: Callable[[jax.Array, tuple[int, int]], jax.Array]


def _lax_conv(x, kernel, stride, padding):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=_DIMENSIONS
    )


def _lax_depthwise(x, kernel, stride, padding):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=_DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def _lax_max_pool(x, window):
    size = (1, window, window, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, size, size, "VALID")


def _lax_average_pool(x, window):
    height, width = window
    size = (1, height, width, 1)
    total = lax.reduce_window(x, 0.0, lax.add, size, size, "VALID")
    return total / (height * width)


INFERENCE = Lowering(_lax_conv, _lax_depthwise, _lax_max_pool, _lax_average_pool)
TRAINING = INFERENCE
LOWERINGS = {"inference": INFERENCE, "training": TRAINING}
