"""Both layouts compute the same operations."""

import jax
import numpy as np
import pytest

from spjax.networks.lowering import INFERENCE, LOWERINGS, TRAINING

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 6, 5, 3)).astype(np.float32)


def back(ops, y):
    """Images of a layout as [N, H, W, C]."""
    return np.transpose(y, ops.axes)


@pytest.mark.parametrize("name", sorted(LOWERINGS))
def test_the_layout_round_trips(name):
    ops = LOWERINGS[name]
    x = ops.enter(IMAGES)
    assert ops.size(x) == (6, 5, 3)
    np.testing.assert_array_equal(back(ops, x), IMAGES)
    np.testing.assert_array_equal(ops.flatten(x), IMAGES.reshape(2, -1))
    bias = np.array([1.0, 20.0, 300.0], np.float32)
    np.testing.assert_array_equal(back(ops, x + ops.spread(bias)), IMAGES + bias)


def test_inference_moves_nothing():
    jaxpr = jax.make_jaxpr(INFERENCE.enter)(IMAGES).jaxpr
    assert not jaxpr.eqns


@pytest.mark.parametrize("window", [(2, 2), (3, 3), (6, 5)])
def test_average_pools_are_equal(window):
    want = INFERENCE.average_pool(INFERENCE.enter(IMAGES), window)
    rows, columns = window
    corner = IMAGES[:, :rows, :columns].mean((1, 2))
    np.testing.assert_allclose(want[:, 0, 0], corner, rtol=1e-5, atol=1e-6)
    got = TRAINING.average_pool(TRAINING.enter(IMAGES), window)
    np.testing.assert_allclose(back(TRAINING, got), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "stride", "padding"),
    [
        ((1, 1, 3, 4), 1, "SAME"),
        ((1, 1, 3, 4), 2, "SAME"),
        ((1, 1, 3, 4), 2, "VALID"),
        ((3, 3, 3, 4), 2, "SAME"),
        ((3, 3, 60, 2), 1, "VALID"),  # wide: XLA's own convolution
    ],
)
def test_convolutions_are_equal(shape, stride, padding):
    kernel = RNG.normal(size=shape).astype(np.float32)
    x = RNG.normal(size=(2, 7, 6, shape[2])).astype(np.float32)
    want = INFERENCE.conv(x, kernel, stride, padding)
    got = TRAINING.conv(TRAINING.enter(x), kernel, stride, padding)
    np.testing.assert_allclose(back(TRAINING, got), want, rtol=1e-4, atol=1e-4)


def test_depthwise_and_max_pool_are_equal():
    kernel = RNG.normal(size=(3, 3, 1, 3)).astype(np.float32)
    want = INFERENCE.depthwise(IMAGES, kernel, 2, "SAME")
    got = TRAINING.depthwise(TRAINING.enter(IMAGES), kernel, 2, "SAME")
    np.testing.assert_allclose(back(TRAINING, got), want, rtol=1e-4, atol=1e-5)
    want = INFERENCE.max_pool(IMAGES, 2)
    got = TRAINING.max_pool(TRAINING.enter(IMAGES), 2)
    np.testing.assert_array_equal(back(TRAINING, got), want)
