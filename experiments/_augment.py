"""Warped training images: the flags that say how much, and batches of them."""

from collections.abc import Iterator

import numpy as np
from absl import flags

from spjax import training

SHIFT = flags.DEFINE_float(
    "augment_shift",
    0.0,
    "Largest random shift of a training image, in pixels of the network's input.",
    lower_bound=0.0,
)
ROTATION = flags.DEFINE_float(
    "augment_rotation",
    0.0,
    "Largest random turn of a training image, in degrees.",
    lower_bound=0.0,
)
SCALING = flags.DEFINE_float(
    "augment_scaling",
    0.0,
    "Largest random change of a training image's size, as a share.",
    0.0,
    0.9,
)
MIRROR = flags.DEFINE_bool(
    "augment_mirror", False, "Mirror half of the training images left to right."
)


def batches(
    seed: int,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    shift: float = 0.0,
    rotation: float = 0.0,
    scaling: float = 0.0,
    mirror: bool = False,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless shuffled batches of warped images.

    Args:
      seed: of the order and the warps.
      images: uint8 [N, H, W, C].
      labels: int [N].
      batch_size: images a batch; those that do not fill one wait for the next epoch.
      shift: as for `training.warp`.
      rotation: as for `training.warp`.
      scaling: as for `training.warp`.
      mirror: whether half of the images are mirrored, too.

    Yields:
      float32 [batch_size, H, W, C] within 0 .. 255, and labels.
    """
    rng = np.random.default_rng(seed)
    batch_size = min(batch_size, len(images))
    while True:
        order = rng.permutation(len(images))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            shown = images[chosen]
            if mirror:
                shown = training.mirrored(rng, shown)
            yield training.warp(rng, shown, shift, rotation, scaling), labels[chosen]
