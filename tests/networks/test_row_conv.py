"""The row form of a convolution against NumPy and against XLA's own."""

import itertools

import jax
import numpy as np
import pytest
from jax import lax

from spjax.networks.row_conv import row_conv
from tests.networks.numpy_conv import conv

CASES = [
    *itertools.product((2, 3, 5), (1, 2), ("SAME", "VALID")),
    (1, 2, "SAME"),
    (4, 3, "SAME"),
    (7, 1, "VALID"),
]


def draw(side, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(9, 3, 7, 2)).astype(np.float32)
    return x, rng.normal(size=(side, side, 3, 4)).astype(np.float32)


@pytest.mark.parametrize(("side", "stride", "padding"), CASES)
def test_equals_numpy_in_value_and_gradients(side, stride, padding):
    x, kernel = draw(side)
    dy = np.random.default_rng(1).normal(size=conv(x, kernel, stride, padding).shape)
    dy = dy.astype(np.float32)

    @jax.jit
    def run(x, kernel, dy):
        y, pull = jax.vjp(lambda x, k: row_conv(x, k, stride, padding), x, kernel)
        return y, *pull(dy)

    expected = (
        conv(x, kernel, stride, padding),
        *conv(x, kernel, stride, padding, dy),
    )
    for got, want in zip(run(x, kernel, dy), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("stride", "padding"), [(1, "SAME"), (2, "VALID")])
def test_equals_xla(stride, padding):
    x, kernel = draw(3)

    def own(x, kernel):
        return lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            padding,
            dimension_numbers=("HCWN", "HWIO", "HCWN"),
        )

    @jax.jit
    def run(x, kernel):
        y, pull = jax.vjp(lambda x, k: row_conv(x, k, stride, padding), x, kernel)
        z, pull_own = jax.vjp(own, x, kernel)
        return (y, *pull(z)), (z, *pull_own(z))

    got, want = run(x, kernel)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_maps_over_a_population():
    pairs = [draw(3, seed) for seed in range(3)]
    images, kernels = (np.stack(arrays) for arrays in zip(*pairs, strict=True))

    @jax.jit
    @jax.vmap
    def gradient(x, kernel):
        return jax.grad(lambda k: (row_conv(x, k, 1, "SAME") ** 2).sum())(kernel)

    for got, (x, kernel) in zip(gradient(images, kernels), pairs, strict=True):
        dy = 2 * conv(x, kernel, 1, "SAME")
        want = conv(x, kernel, 1, "SAME", dy)[1]
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)
