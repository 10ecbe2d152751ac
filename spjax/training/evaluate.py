"""Predictions and error rate of a trained network over a whole split."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np

from spjax import genomes, networks
from spjax.data import Normalisation, Split
from spjax.training.compiling import quick_jit

_BATCH = 256


@functools.lru_cache(maxsize=8)
def _make_forward(genome, num_classes):
    module = networks.build(genome, num_classes, lowering="training")

    @quick_jit
    def forward(variables, images, mean, std):
        x = (images.astype(jnp.float32) - mean) / std
        return module.apply(variables, x, train=False)

    return forward


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
    size = min(_BATCH, len(images))
    logits = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        # One shape for all batches: one program.
        padded = np.zeros((size, *images.shape[1:]), np.uint8)
        padded[: len(batch)] = batch
        logits.append(forward(variables, padded, mean, std))
    logits = [np.asarray(part) for part in logits]
    return np.concatenate(logits)[: len(images)]


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
