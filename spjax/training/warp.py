"""Random shifts, turns and scalings of training images, in numpy.

Each image is read at ``c + A (p - c) + t`` for every pixel p, with c its centre, A a
rotation by an angle within +-`rotation` divided by a factor within 1 +- `scaling`, and
t within +-`shift` pixels; in between pixels bilinearly, outside of the image 0.
"""

import numpy as np


def warp(
    rng: np.random.Generator,
    images: np.ndarray,
    shift: float,
    rotation: float,
    scaling: float,
) -> np.ndarray:
    """Warps images.

    Args:
      rng: where the shifts, angles and factors come from.
      images: uint8 [N, H, W, C].
      shift: largest shift, in pixels.
      rotation: largest angle, in degrees.
      scaling: largest change of size, as a share.

    Returns:
      float32 [N, H, W, C], within 0 .. 255.
    """
    count, height, width, channels = images.shape
    if not (shift or rotation or scaling):
        return images.astype(np.float32)
    angle = np.deg2rad(rng.uniform(-rotation, rotation, (count, 1, 1)))
    size = 1 + rng.uniform(-scaling, scaling, (count, 1, 1))
    down, across = rng.uniform(-shift, shift, (2, count, 1, 1))
    rows = (np.arange(height) - (height - 1) / 2)[None, :, None]
    columns = (np.arange(width) - (width - 1) / 2)[None, None, :]
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    y = cos * rows - sin * columns + (height - 1) / 2 + down
    x = sin * rows + cos * columns + (width - 1) / 2 + across
    # A frame of zeros stands for everything outside.
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))).astype(np.float32)
    y, x = np.clip(y + 1, 0, height + 1), np.clip(x + 1, 0, width + 1)
    top = np.minimum(y.astype(np.int64), height)
    left = np.minimum(x.astype(np.int64), width)
    flat = framed.reshape(-1, channels)
    first = np.arange(count)[:, None, None] * (height + 2) * (width + 2)
    corner = first + top * (width + 2) + left
    below = (y - top)[..., None].astype(np.float32)
    right = (x - left)[..., None].astype(np.float32)
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    corner = corner + width + 2
    lower = flat[corner] * (1 - right) + flat[corner + 1] * right
    return upper * (1 - below) + lower * below
