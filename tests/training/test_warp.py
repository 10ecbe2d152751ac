import numpy as np
import pytest

from spjax import training


def _images(count=5, height=9, width=12, channels=2):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, channels)).astype(np.uint8)


def test_nothing_changes_without_warps():
    images = _images()
    made = training.warp(np.random.default_rng(0), images, 0, 0, 0)
    np.testing.assert_array_equal(made, images)
    # The smallest warp goes through the interpolation.
    near = training.warp(np.random.default_rng(0), images, 1e-9, 0, 0)
    np.testing.assert_allclose(near, images, atol=1e-3)


class _Fixed:
    """A generator of fixed draws, in the order angle, scaling, shifts."""

    def __init__(self, *values):
        self._values = list(values)

    def uniform(self, low, high, shape):
        value = np.asarray(self._values.pop(0), float)
        return np.broadcast_to(value.reshape(-1, *[1] * (len(shape) - 1)), shape)


def test_whole_shifts_move_the_image_and_bring_in_zeros():
    images = _images()
    made = training.warp(_Fixed(0, 0, (2, -3)), images, 3, 0, 0)
    expected = np.zeros_like(images)
    expected[:, :-2, 3:] = images[:, 2:, :-3]
    np.testing.assert_allclose(made, expected, atol=1e-3)


def test_half_a_pixel_is_the_mean_of_two():
    images = _images()
    made = training.warp(_Fixed(0, 0, (0, 0.5)), images, 1, 0, 0)
    expected = (images[:, :, :-1].astype(float) + images[:, :, 1:]) / 2
    np.testing.assert_allclose(made[:, :, :-1], expected, atol=1e-3)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_numpy_s(turns):
    images = _images(height=9, width=9)
    made = training.warp(_Fixed(90 * turns, 0, (0, 0)), images, 0, 180, 0)
    expected = np.rot90(images, -turns, (1, 2))
    assert np.abs(made - expected).max() < 1e-2 or (
        np.abs(made - np.rot90(images, turns, (1, 2))).max() < 1e-2
    )


def test_twice_the_size_keeps_the_centre():
    images = _images(height=9, width=9)
    made = training.warp(_Fixed(0, 1, (0, 0)), images, 0, 0, 1)
    np.testing.assert_allclose(made[:, 4, 4], images[:, 4, 4], atol=1e-3)
    np.testing.assert_allclose(made[:, 6, 2], images[:, 5, 3], atol=1e-3)


def test_draws_stay_within_their_limits():
    bar = np.zeros((200, 21, 21, 1), np.uint8)
    bar[:, 10, 10] = 255
    made = training.warp(np.random.default_rng(0), bar, 2, 0, 0)
    rows, columns = np.where(made.sum((0, 3)) > 0)
    assert {rows.min(), rows.max()} <= {8, 9, 11, 12}
    assert {columns.min(), columns.max()} <= {8, 9, 11, 12}
    totals = made.sum((1, 2, 3))
    np.testing.assert_allclose(totals, 255, rtol=1e-4)
