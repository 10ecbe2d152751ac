"""Box averages, counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import networks


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    factor=st.integers(1, 5),
    size=st.tuples(st.integers(5, 11), st.integers(5, 11), st.integers(1, 3)),
)
def test_rounds_half_up_and_crops(seed, factor, size):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (2, *size)).astype(np.uint8)
    got = networks.downsample(images, factor)
    assert got.dtype == np.uint8
    assert got.shape == (2, size[0] // factor, size[1] // factor, size[2])
    for n, h, w, c in np.ndindex(got.shape):
        rows, columns = h * factor, w * factor
        square = images[n, rows : rows + factor, columns : columns + factor, c]
        total = sum(int(pixel) for pixel in square.ravel())
        # floor(total / area + 1 / 2), in integers.
        assert got[n, h, w, c] == (2 * total + factor**2) // (2 * factor**2)


def test_half_goes_up():
    image = np.array([[0, 1], [1, 0]], np.uint8)[None, :, :, None]
    assert networks.downsample(image, 2).item() == 1
    image = np.array([[0, 1], [0, 0]], np.uint8)[None, :, :, None]
    assert networks.downsample(image, 2).item() == 0
    image = np.full((1, 2, 2, 1), 255, np.uint8)
    assert networks.downsample(image, 2).item() == 255


def test_floats_are_not_rounded():
    images = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    got = networks.downsample(images, 2)
    np.testing.assert_allclose(got.ravel(), [2.5, 4.5, 10.5, 12.5])
    assert got.dtype == np.float32


@pytest.mark.parametrize("factor", [0, 5])
def test_names_a_factor_that_does_not_fit(factor):
    with pytest.raises(ValueError, match=f"downsample={factor}.*4x6.*1 to 4"):
        networks.downsample(np.zeros((1, 4, 6, 1), np.uint8), factor)
