"""A small problem that small networks learn."""

import numpy as np

from spjax.data import Split

CLASSES = 3


def blobs(count, seed):
    """Images whose bright third is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    images = rng.integers(0, 90, (count, 9, 9, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3 * label : 3 * label + 3] += 90
    return Split(images, labels)
