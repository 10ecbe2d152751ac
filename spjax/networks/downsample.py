"""Box averaging of images: the ``downsample`` gene."""

import numpy as np


def downsample(images: np.ndarray, factor: int) -> np.ndarray:
    """Averages images over ``factor`` x ``factor`` squares.

    Rows and columns that do not fill a square are cropped at the bottom and right.
    Integer images are rounded half up, in integer arithmetic, so that a
    microcontroller computes the same bytes.

    Args:
      images: [N, H, W, C], uint8 or floating point.
      factor: side of the square in pixels, at least 1 and at most min(H, W).

    Returns:
      [N, H // factor, W // factor, C] of the dtype of ``images``.

    Raises:
      ValueError: if ``factor`` does not fit the images.
    """
    count, height, width, channels = images.shape
    if not 1 <= factor <= min(height, width):
        raise ValueError(
            f"downsample={factor} does not fit images of {height}x{width} pixels; "
            f"choose 1 to {min(height, width)}."
        )
    if factor == 1:
        return images
    rows, columns = height // factor, width // factor
    squares = images[:, : rows * factor, : columns * factor].reshape(
        count, rows, factor, columns, factor, channels
    )
    if not np.issubdtype(images.dtype, np.integer):
        return squares.mean(axis=(2, 4), dtype=images.dtype)
    total = squares.sum(axis=(2, 4), dtype=np.int64)
    area = factor * factor
    return ((2 * total + area) // (2 * area)).astype(images.dtype)
