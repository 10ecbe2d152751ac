"""Which images a step sees, in which order, and how far they are moved.

An epoch is a fresh random order of the images, cut into batches; the last, partial
batch is dropped. Order and shifts are drawn on the host, from one generator a run, in
the order in which the steps need them: a run's batches depend on its seed alone.
"""

import jax
import jax.numpy as jnp
import numpy as np

from spjax import genomes, networks
from spjax.data import Split
from spjax.training.config import TrainConfig
from spjax.training.errors import TrainingError
from spjax.training.warp import warp


def network_images(
    genome: genomes.Genome, train_split: Split, validation_split: Split
) -> tuple[np.ndarray, np.ndarray]:
    """The images of both splits as a genome's network sees them.

    Args:
      genome: valid for the images.
      train_split: images as the data set holds them.
      validation_split: likewise.

    Returns:
      uint8 [N, H, W, C] of either, downsampled.

    Raises:
      TrainingError: if there is no image in one of them.
      GenomeError: if the genome does not fit the images.
    """
    if not len(train_split) or not len(validation_split):
        raise TrainingError("a split is empty: training needs images in both")
    genomes.validate(genome, train_split.images.shape[1:])
    return (
        networks.downsample(train_split.images, genome.downsample),
        networks.downsample(validation_split.images, genome.downsample),
    )


def order_generator(seed: int) -> np.random.Generator:
    """The generator of a run's orders and shifts."""
    return np.random.default_rng([seed, 1])


def draw_order(rng: np.random.Generator, count: int, batch: int) -> np.ndarray:
    """The images of an epoch's batches.

    Args:
      rng: the run's.
      count: number of images.
      batch: images a step, at most ``count``.

    Returns:
      int64 [steps, batch], no image twice.
    """
    steps = count // batch
    return rng.permutation(count)[: steps * batch].reshape(steps, batch)


def augmented(
    rng: np.random.Generator, images: np.ndarray, config: TrainConfig
) -> np.ndarray:
    """The images of a step, mirrored, moved or warped as the settings ask for.

    Args:
      rng: the run's.
      images: uint8 [B, H, W, C].
      config: the run's settings.

    Returns:
      [B, H, W, C]: uint8, or float32 within 0 .. 255 if they are warped.
    """
    if config.augment_mirror:
        images = mirrored(rng, images)
    shift = config.augment_shift
    if config.warps:
        turn, scaling = config.augment_rotation, config.augment_scaling
        return warp(rng, images, shift, turn, scaling)
    if not shift:
        return images
    return moved(images, draw_moves(rng, len(images), int(shift)))


def mirrored(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Images, each with its left and right exchanged or, as likely, as it is.

    Args:
      rng: the run's.
      images: [B, H, W, C].

    Returns:
      Images of the same shape and dtype.
    """
    chosen = rng.integers(0, 2, (len(images), 1, 1, 1)).astype(bool)
    return np.where(chosen, images[:, :, ::-1], images)


def draw_moves(rng: np.random.Generator, batch: int, reach: int) -> np.ndarray:
    """How far each image of a batch is moved.

    Args:
      rng: the run's.
      batch: number of images.
      reach: largest move each way, in pixels.

    Returns:
      int64 [2, batch]: by rows and by columns, evenly from -reach to reach.
    """
    return rng.integers(-reach, reach + 1, (2, batch))


def moved(
    images: np.ndarray | jax.Array, moves: np.ndarray | jax.Array
) -> np.ndarray | jax.Array:
    """Images, each moved; edges repeat.

    Args:
      images: [B, H, W, C]; traced ones give a traced result.
      moves: int [2, B], of ``draw_moves``.

    Returns:
      The moved images, of the same shape and dtype.
    """
    xp = jnp if isinstance(images, jax.Array) else np
    count, height, width, _ = images.shape
    rows = xp.clip(xp.arange(height) + moves[0][:, None], 0, height - 1)
    columns = xp.clip(xp.arange(width) + moves[1][:, None], 0, width - 1)
    return images[
        xp.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
