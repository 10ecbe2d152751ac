"""Predictions and error rate of a trained network over a whole split."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from spjax import genomes, networks
from spjax.data import Normalisation, Split
from spjax.training.compiling import quick_jit

_BATCH = 256


def forward_function(
    genome: genomes.Genome, num_classes: int, lowering: str
) -> Callable[..., jax.Array]:
    """The logits of a batch as a pure function, to be jitted or mapped.

    Args:
      genome: the genome; its training genes do not matter.
      num_classes: number of classes.
      lowering: of the network, as in `networks.build`.

    Returns:
      ``forward(variables, images, mean, std) -> logits``: of uint8 [B, H, W, C]
      (downsampled) float32 [B, num_classes].
    """
    module = networks.build(genome, num_classes, lowering=lowering)

    def forward(variables, images, mean, std):
        x = (images.astype(jnp.float32) - mean) / std
        return module.apply(variables, x, train=False)

    return forward


@functools.lru_cache(maxsize=8)
def _make_forward(genome, num_classes):
    return quick_jit(forward_function(genome, num_classes, "training"))


def predict(
    genome: genomes.Genome,
    variables: dict,
    images: np.ndarray,
    num_classes: int,
    normalisation: Normalisation,
) -> np.ndarray:
    """Logits of images, batch norm with its running statistics.

    Args:
      genome: the genome.
      variables: ``{"params": ..., "batch_stats": ...}``.
      images: uint8 [N, H, W, C], already downsampled by the genome's factor.
      num_classes: number of classes.
      normalisation: constants per channel.

    Returns:
      float32 [N, num_classes].
    """
    plain = dataclasses.replace(genome, training=genomes.Training())
    forward = _make_forward(plain, num_classes)
    mean = np.asarray(normalisation.mean, np.float32)
    std = np.asarray(normalisation.std, np.float32)
    logits = [forward(variables, part, mean, std) for part in equal_parts(images)]
    logits = [np.asarray(part) for part in logits]
    return np.concatenate(logits)[: len(images)]


def equal_parts(images: np.ndarray) -> Iterator[np.ndarray]:
    """Images in batches of one shape, so that one program does for all.

    Args:
      images: uint8 [N, H, W, C].

    Yields:
      uint8 [min(N, 256), H, W, C]; the last one is filled up with black images.
    """
    size = min(_BATCH, len(images))
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        padded = np.zeros((size, *images.shape[1:]), np.uint8)
        padded[: len(batch)] = batch
        yield padded


def error_rate(
    genome: genomes.Genome,
    variables: dict,
    split: Split,
    num_classes: int,
    normalisation: Normalisation,
) -> float:
    """Share of a split's images whose largest logit is not the label's.

    Args:
      genome: the genome.
      variables: ``{"params": ..., "batch_stats": ...}``.
      split: images as the data set holds them; downsampled here.
      num_classes: number of classes.
      normalisation: constants per channel.

    Returns:
      Error rate in [0, 1]. An image with a NaN among its logits counts as an error.
    """
    images = networks.downsample(split.images, genome.downsample)
    logits = predict(genome, variables, images, num_classes, normalisation)
    return error_of(logits, split.labels)


def error_of(logits: np.ndarray, labels: np.ndarray) -> float:
    """Error rate of logits [N, classes] against int labels [N]."""
    wrong = (np.argmax(logits, -1) != labels) | ~np.isfinite(logits).all(-1)
    return float(np.mean(wrong))
