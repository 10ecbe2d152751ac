"""What a data set is once it is in memory: frozen dataclasses over uint8 arrays.

Pixels stay integers in 0..255 until the network's input, so that a microcontroller
sees the same numbers. ``Normalisation`` holds the two constants per channel with
which an image enters a network::

    x = (pixel - mean) / std        mean, std in units of 0..255

They come from the training split alone; validation and test use the same constants.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

# A channel that (nearly) never changes would be blown up by 1 / std.
MIN_STD = 1.0
_CHUNK = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one split.

    Attributes:
      images: uint8 [N, H, W, C], pixel values 0..255.
      labels: int32 [N], class indices.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise TypeError(
                "Split.images must be uint8 [N, H, W, C], got "
                f"{self.images.dtype} {list(self.images.shape)}"
            )
        if self.labels.dtype != np.int32 or self.labels.ndim != 1:
            raise TypeError(
                "Split.labels must be int32 [N], got "
                f"{self.labels.dtype} {list(self.labels.shape)}"
            )
        if len(self.images) != len(self.labels):
            raise ValueError(
                f"{len(self.images)} images but {len(self.labels)} labels in a Split"
            )

    @property
    def num_pixels(self) -> int:
        """Pixels of all images, N * H * W; one of several channels counts once."""
        return math.prod(self.images.shape[:3])

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split(uint8 {list(self.images.shape)})"


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel, in units of 0..255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns ``(images - mean) / std`` as float32, shape unchanged [..., C]."""
        mean = np.asarray(self.mean, np.float32)
        std = np.asarray(self.std, np.float32)
        return (np.asarray(images, np.float32) - mean) / std


def fit_normalisation(images: np.ndarray) -> Normalisation:
    """Measures the constants on a training split.

    Args:
      images: uint8 [N, H, W, C], N > 0.

    Returns:
      Mean and population standard deviation per channel. A standard deviation below
      ``MIN_STD`` (a constant channel) is raised to it.
    """
    channels = images.shape[-1]
    count = images.size // channels
    total = np.zeros(channels, np.int64)
    squares = np.zeros(channels, np.int64)
    for start in range(0, len(images), _CHUNK):  # integer sums: exact, and small
        chunk = images[start : start + _CHUNK].reshape(-1, channels).astype(np.int64)
        total += chunk.sum(0)
        squares += (chunk * chunk).sum(0)
    mean = total / count
    # count * squares - total**2 is exact in Python's integers, whatever the size.
    variance = [
        (count * int(q) - int(t) ** 2) / count**2
        for t, q in zip(total, squares, strict=True)
    ]
    return Normalisation(
        mean=tuple(float(m) for m in mean),
        std=tuple(max(float(np.sqrt(v)), MIN_STD) for v in variance),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled image data set, split and in memory, its test split still unread.

    Images of ``train`` and ``validation`` stand in a seeded random order, so that any
    leading part of them is a fair sample. Worker processes get a data set through
    ``save_arrays`` and ``open_arrays``, not by pickling.

    Attributes:
      name: what ``--dataset`` was given.
      train: training split.
      validation: validation split (what the search minimises its error on).
      num_classes: number of classes.
      class_names: one name per class, in label order.
      normalisation: constants per channel, from ``train`` alone.
      notes: lines that a program prints before it starts.
      split_seed: seed of the splits that were drawn (not those the source brought).
      fingerprint: short hash of the data's identity: source and version, split seed
        and sizes, image size, and the contents of ``train`` and ``validation``. Test
        images enter by name and size alone: they are unread.
      input_shape: (H, W, C) of one image.
      test_size: number of test images, known without reading them.
      read_test: reads the test split; use ``test()``.
    """

    name: str
    train: Split
    validation: Split
    num_classes: int
    class_names: tuple[str, ...]
    normalisation: Normalisation
    notes: tuple[str, ...]
    split_seed: int
    fingerprint: str
    input_shape: tuple[int, int, int]
    test_size: int
    read_test: Callable[[], Split] = dataclasses.field(repr=False)

    def test(self) -> Split:
        """Reads the test split now. For the final report only; nothing is cached."""
        return self.read_test()

    def describe(self) -> dict[str, Any]:
        """Returns what a result should record of its data, as plain JSON types."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "split_seed": self.split_seed,
            "sizes": {
                "train": len(self.train),
                "validation": len(self.validation),
                "test": self.test_size,
            },
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
            "class_names": list(self.class_names),
            "normalisation": {
                "mean": list(self.normalisation.mean),
                "std": list(self.normalisation.std),
                "units": "0..255, from the training split",
            },
            "notes": list(self.notes),
        }
