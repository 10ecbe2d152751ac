"""A fixed part of a data set's training images, for quick experiments."""

import dataclasses
import hashlib

import numpy as np

from spjax.data.dataset import Dataset, Split, fit_normalisation
from spjax.data.errors import DataError


def subset(dataset: Dataset, train_images: int) -> Dataset:
    """Keeps the first training images, which stand in a seeded random order.

    Validation and test splits stay whole; the normalisation is measured anew.

    Args:
      dataset: the data set.
      train_images: how many training images to keep.

    Returns:
      The smaller data set, with a fingerprint of its own; the data set itself if it
      has no more images.

    Raises:
      DataError: if the number is not positive, or a class has no image among those
        kept.
    """
    if train_images < 1:
        raise DataError(f"train_images = {train_images} must be at least 1")
    if train_images >= len(dataset.train):
        return dataset
    images = dataset.train.images[:train_images]
    labels = dataset.train.labels[:train_images]
    missing = set(range(dataset.num_classes)) - set(np.unique(labels).tolist())
    if missing:
        name = dataset.class_names[min(missing)]
        raise DataError(
            f"train_images = {train_images} leaves no image of class {name!r}: keep "
            "more images"
        )
    identity = f"{dataset.fingerprint} train_images={train_images}"
    return dataclasses.replace(
        dataset,
        train=Split(images, labels),
        normalisation=fit_normalisation(images),
        notes=(
            *dataset.notes,
            f"{train_images:,} of {len(dataset.train):,} training images are used",
        ),
        fingerprint=hashlib.sha256(identity.encode()).hexdigest()[
            : len(dataset.fingerprint)
        ],
    )
