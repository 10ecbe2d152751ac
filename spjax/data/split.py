"""Seeded, stratified splits: every class keeps its share in both halves.

A held-out set of n out of N takes from class c, which has N_c images,

    floor(n N_c / N), plus one for the classes with the largest remainders

so that exactly n are held out and each class is off by less than one image from its
share (the method of largest remainders). If a class would get none, or all of its
images, one image moves, so that every class stands on both sides.
Which images of a class go is drawn from ``np.random.default_rng``.
"""

import numpy as np

from spjax.data.errors import DataError

# One fifth is held out, but never more than these: 55,000 / 5,000 for MNIST and
# 45,000 / 5,000 for CIFAR-10, as in SpArSe's experiments.
HELD_OUT_SHARE = 0.2
MAX_VALIDATION = 5_000
MAX_TEST = 10_000


def held_out_size(total: int, most: int) -> int:
    """Returns how many of ``total`` images to hold out: a fifth, at most ``most``."""
    return min(max(int(round(total * HELD_OUT_SHARE)), 1), most)


def stratified_split(
    labels: np.ndarray, held_out: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Splits indices in two, class by class.

    Args:
      labels: int [N], classes; each class that occurs must occur at least twice.
      held_out: size of the second part, from the number of classes to N minus it.
      seed: seed of the draw. Same labels, size and seed: same split.

    Returns:
      (kept, held): sorted int64 indices, disjoint, together 0..N-1; ``held`` has
      length ``held_out`` and both have every class.

    Raises:
      DataError: if a class occurs once, or the sizes leave a class without an image.
    """
    labels = np.asarray(labels)
    classes, counts = np.unique(labels, return_counts=True)
    if (counts < 2).any():
        raise DataError(
            f"class {classes[counts < 2][0]} has only 1 image; at least 2 are needed "
            "to split it"
        )
    if not len(classes) <= held_out <= len(labels) - len(classes):
        raise DataError(
            f"cannot hold out {held_out} of {len(labels)} images with "
            f"{len(classes)} classes: each class needs an image on both sides"
        )
    take = _largest_remainders(counts, held_out)
    rng = np.random.default_rng(seed)
    held = np.concatenate(
        [
            rng.permutation(np.flatnonzero(labels == c))[:n]
            for c, n in zip(classes, take, strict=True)
        ]
    )
    held.sort()
    kept = np.setdiff1d(np.arange(len(labels)), held, assume_unique=True)
    return kept, held


def _largest_remainders(counts: np.ndarray, held_out: int) -> np.ndarray:
    """Returns how many of each class to hold out; sums to ``held_out``."""
    exact = counts * held_out / counts.sum()
    take = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - take), kind="stable")
    take[order[: held_out - take.sum()]] += 1
    # Every class on both sides: move what is missing from where it costs least.
    take = np.clip(take, 1, counts - 1)
    while (excess := take.sum() - held_out) != 0:
        room = take > 1 if excess > 0 else take < counts - 1
        gap = (take - exact) * np.sign(excess)
        take[np.argmax(np.where(room, gap, -np.inf))] -= np.sign(excess)
    return take
