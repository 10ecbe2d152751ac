"""Where images come from, before they are split: parts that are read on demand.

A source brings a ``train`` part and perhaps ``validation`` and ``test`` parts. Labels
and images are read separately and by index, so that a test split which is carved out
of ``train`` is chosen from the labels alone and its images stay unread.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from spjax.data.errors import DataError
from spjax.data.resize import Transform


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a source.

    Attributes:
      size: number of images, known without reading any.
      labels: reads all labels, int32 [size].
      images: (indices int [n], transform) -> uint8 [n, H, W, C]: reads those images.
    """

    size: int
    labels: Callable[[], np.ndarray]
    images: Callable[[np.ndarray, Transform], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Source:
    """A labelled image data set that has not been read yet.

    Attributes:
      name: what ``--dataset`` was given.
      class_names: one name per label.
      parts: ``train``, and where the source has them ``validation`` and ``test``.
      identity: what tells this data from other data before any image is read: kind,
        version, file names and sizes (for the fingerprint).
      notes: lines that a program prints; called after reading, so that a source can
        say what it found.
      groups: for each label the class that it counts as, or None for the labels
        themselves. Splits are drawn on the labels, before grouping.
    """

    name: str
    class_names: tuple[str, ...]
    parts: Mapping[str, Part]
    identity: tuple[str, ...]
    notes: Callable[[], tuple[str, ...]] = lambda: ()
    groups: tuple[int, ...] | None = None


def stack(
    named_images: Iterable[tuple[str, np.ndarray]],
    count: int,
    transform: Transform,
    where: str,
) -> np.ndarray:
    """Transforms images one by one into one array.

    Args:
      named_images: pairs of (name for error messages, uint8 [H, W, C]).
      count: how many there are.
      transform: resizing and greying.
      where: the flag and value that the images come from, for error messages.

    Returns:
      uint8 [count, H, W, C].

    Raises:
      DataError: if two images differ in shape after the transform.
    """
    out, first = None, ""
    for k, (name, image) in enumerate(named_images):
        image = transform(image)
        if out is None:
            out, first = np.empty((count, *image.shape), np.uint8), name
        if image.shape != out.shape[1:]:
            raise DataError(
                f"{where}: images differ in shape: {first} is "
                f"{shape_text(out.shape[1:])} but {name} is "
                f"{shape_text(image.shape)} (height x width x channels); "
                "pass --image_size=N (and --grey if colours are mixed)"
            )
        out[k] = image
    if out is None:
        return np.empty((0, 0, 0, 0), np.uint8)
    return out


def shape_text(shape: tuple[int, ...]) -> str:
    """Returns a shape as people write it: ``28x28x1``."""
    return "x".join(str(n) for n in shape)
