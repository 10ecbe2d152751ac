"""Layers of an int8 network in plain JAX, and the 12x12 example of them."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments._random_graphs import DIMENSIONS
from spjax import analysis


def narrow(y, factor):
    return jnp.clip(jnp.round(y.astype(jnp.float32) * factor), -128, 127).astype(
        jnp.int8
    )


def conv(x, kernel, padding="VALID", strides=(1, 1), groups=1):
    y = jax.lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=DIMENSIONS,
        feature_group_count=groups, preferred_element_type=jnp.int32,
    )  # fmt: skip
    return narrow(jnp.maximum(y, 0), 0.02 / np.sqrt(np.prod(kernel.shape[:3])))


def pool(x, window=2, stride=2):
    window, strides = (1, window, window, 1), (1, stride, stride, 1)
    return jax.lax.reduce_window(
        x, np.int8(-128), jax.lax.max, window, strides, "VALID"
    )


def dense(x, kernel):
    y = jax.lax.dot(x.reshape(1, -1), kernel, preferred_element_type=jnp.int32)
    return narrow(y, 2e-3)


def kernel(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-127, 128, shape).astype(np.int8)


def image(*shape):
    return np.random.default_rng(7).integers(-128, 128, shape).astype(np.int8)


def traced(fn, *shape):
    x = image(*shape)
    return analysis.trace(lambda _, x: fn(x), (), x), x


def global_pool(x, kind):
    window = (1, *x.shape[1:3], 1)
    if kind == "max":
        low = np.int8(-128)
        return jax.lax.reduce_window(x, low, jax.lax.max, window, window, "VALID")
    wide = x.astype(jnp.int32)
    total = jax.lax.reduce_window(wide, 0, jax.lax.add, window, window, "VALID")
    return narrow(total, 1 / np.prod(window))


def check(schedule, x):
    """Plans, simulates, returns the plan."""
    made = analysis.plan(schedule)
    analysis.simulate(made, {"input": x})
    return made


def twelve_by_twelve():
    """(program, image): 12x12, conv 3x3x8 VALID, ReLU, max pool 2, dense 10."""

    def fn(x):
        return dense(pool(conv(x, kernel(3, 3, 1, 8))), kernel(200, 10))

    return traced(fn, 1, 12, 12, 1)
