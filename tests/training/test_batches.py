import jax.numpy as jnp
import numpy as np
import pytest

from spjax import training
from spjax.data import Split
from spjax.genomes import Genome, GenomeError
from spjax.training import batches


def test_an_epoch_shows_each_image_at_most_once():
    rng = batches.order_generator(5)
    first, second = (batches.draw_order(rng, 23, 4) for _ in range(2))
    assert first.shape == second.shape == (5, 4)
    for order in (first, second):
        assert len(set(order.ravel())) == 20 and order.min() >= 0 and order.max() < 23
    assert (first != second).any()
    again = batches.draw_order(batches.order_generator(5), 23, 4)
    assert (again == first).all()
    assert (batches.draw_order(batches.order_generator(6), 23, 4) != first).any()


def test_moved_images_are_cut_from_images_with_repeated_edges():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 5, 7, 2)).astype(np.uint8)
    moves = batches.draw_moves(rng, 50, 2)
    assert set(moves[0]) == set(moves[1]) == {-2, -1, 0, 1, 2}
    found = batches.moved(images, moves)
    assert found.dtype == np.uint8
    for image, (row, column), got in zip(images, moves.T, found, strict=True):
        wide = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")
        want = wide[2 + row : 7 + row, 2 + column : 9 + column]
        np.testing.assert_array_equal(got, want)
    traced = batches.moved(jnp.asarray(images), jnp.asarray(moves))
    np.testing.assert_array_equal(traced, found)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lambda rng, x: x),
        (
            {"augment_shift": 2},
            lambda rng, x: batches.moved(x, batches.draw_moves(rng, 50, 2)),
        ),
        ({"augment_mirror": True}, lambda rng, x: batches.mirrored(rng, x)),
        ({"augment_shift": 0.5}, lambda rng, x: training.warp(rng, x, 0.5, 0, 0)),
        (
            {"augment_shift": 1, "augment_rotation": 9, "augment_scaling": 0.2},
            lambda rng, x: training.warp(rng, x, 1, 9, 0.2),
        ),
    ],
)
def test_settings_say_how_images_are_augmented(options, expected):
    images = np.random.default_rng(0).integers(0, 256, (50, 5, 7, 2)).astype(np.uint8)
    found = batches.augmented(
        np.random.default_rng(1), images, training.TrainConfig(**options)
    )
    want = expected(np.random.default_rng(1), images)
    assert found.dtype == want.dtype
    np.testing.assert_array_equal(found, want)


def test_half_of_the_images_are_mirrored_left_to_right():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (400, 5, 7, 2)).astype(np.uint8)
    found = batches.mirrored(rng, images)
    assert found.dtype == np.uint8
    turned = 0
    for image, got in zip(images, found, strict=True):
        mirror = np.stack([np.fliplr(image[..., c]) for c in (0, 1)], -1)
        assert (got == image).all() or (got == mirror).all()
        turned += (got == mirror).all()
    assert 150 < turned < 250


def test_images_are_downsampled_and_must_be_there():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1)).astype(np.uint8)
    full = Split(pixels, np.zeros(6, np.int32))
    shown, held_out = batches.network_images(Genome(downsample=2), full, full)
    assert shown.shape == held_out.shape == (6, 4, 4, 1)
    mean = pixels[:, :2, :2].astype(float).mean((1, 2, 3))
    np.testing.assert_allclose(shown[:, 0, 0, 0], mean, atol=0.5)
    empty = Split(pixels[:0], np.zeros(0, np.int32))
    for pair in ((full, empty), (empty, full)):
        with pytest.raises(training.TrainingError, match="a split is empty"):
            batches.network_images(Genome(), *pair)
    with pytest.raises(GenomeError):
        batches.network_images(Genome(downsample=9), full, full)
