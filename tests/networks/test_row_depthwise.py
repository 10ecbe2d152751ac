"""The depthwise form against NumPy and against XLA's own."""

import itertools

import jax
import numpy as np
import pytest
from jax import lax

from spjax.networks.row_depthwise import row_depthwise
from tests.networks.numpy_conv import conv

CASES = [
    *itertools.product((2, 3), (1, 2), ("SAME", "VALID")),
    (1, 1, "SAME"),
    (1, 2, "VALID"),
    (4, 3, "SAME"),
    (5, 2, "SAME"),
]


def draw(side):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9, 3, 8, 2)).astype(np.float32)
    return x, rng.normal(size=(side, side, 1, 3)).astype(np.float32)


@pytest.mark.parametrize(("side", "stride", "padding"), CASES)
def test_equals_numpy_in_value_and_gradients(side, stride, padding):
    x, kernel = draw(side)
    y = conv(x, kernel, stride, padding, depthwise=True)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)

    @jax.jit
    def run(x, kernel, dy):
        y, pull = jax.vjp(lambda x, k: row_depthwise(x, k, stride, padding), x, kernel)
        return y, *pull(dy)

    expected = y, *conv(x, kernel, stride, padding, dy, depthwise=True)
    for got, want in zip(run(x, kernel, dy), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_equals_xla():
    x, kernel = draw(3)
    got = row_depthwise(x, kernel, 1, "SAME")
    want = lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("HCWN", "HWIO", "HCWN"),
        feature_group_count=3,
    )
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
