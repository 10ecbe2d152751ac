import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spjax import data
from spjax.data.resize import Transform, resize, to_grey


def _image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_shrinking_by_whole_factors_is_the_mean_of_each_area(size, fy, fx, seed):
    image = _image(size * fy, size * fx, 3, seed=seed)
    means = image.reshape(size, fy, size, fx, 3).mean((1, 3))
    # PIL rounds after each axis: up to half a grey level twice.
    assert np.abs(resize(image, size) - means).max() <= 1.01


def test_growing_is_bilinear():
    # Pixel centres of a 2 -> 4 resize lie at 0.25 and 0.75 between the two columns.
    image = np.array([[[0], [100]], [[0], [100]]], np.uint8)
    np.testing.assert_array_equal(resize(image, 4)[..., 0], [[0, 25, 75, 100]] * 4)


def test_any_growing_side_means_bilinear():
    image = _image(2, 8, 1)
    expected = Image.fromarray(image[..., 0]).resize((4, 4), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(image, 4)[..., 0], np.asarray(expected))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_are_resized_independently(channels):
    image = _image(9, 7, channels)
    out = resize(image, 5)
    assert out.shape == (5, 5, channels) and out.dtype == np.uint8
    for c in range(channels):
        np.testing.assert_array_equal(
            out[..., c], resize(image[..., c : c + 1], 5)[..., 0]
        )


def test_same_size_is_the_same_image():
    image = _image(6, 6, 3)
    np.testing.assert_array_equal(resize(image, 6), image)


def test_grey_is_what_pil_calls_luma():
    image = _image(50, 40, 3)
    expected = np.asarray(Image.fromarray(image).convert("L"))
    np.testing.assert_array_equal(to_grey(image)[..., 0], expected)


def test_grey_of_pure_colours_by_hand():
    # 255 * (0.299, 0.587, 0.114), rounded.
    image = np.diag([255, 255, 255]).astype(np.uint8)[None]
    np.testing.assert_array_equal(to_grey(image)[0, :, 0], [76, 150, 29])


def test_grey_leaves_one_channel_and_refuses_four():
    image = _image(3, 3, 1)
    assert to_grey(image) is image
    with pytest.raises(data.DataError, match="--grey.*4 channels"):
        to_grey(_image(3, 3, 4))


def test_transform_greys_then_resizes():
    image = _image(8, 8, 3)
    out = Transform(image_size=4, grey=True)(image)
    np.testing.assert_array_equal(out, resize(to_grey(image), 4))
    assert out.shape == (4, 4, 1)
    assert Transform()(image) is image


@pytest.mark.parametrize("size", [0, -4, 1025, 2.5, "8"])
def test_image_size_must_be_a_sensible_whole_number(size):
    with pytest.raises(data.DataError, match=f"--image_size={size}"):
        Transform(image_size=size)
