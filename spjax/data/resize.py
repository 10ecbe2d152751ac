"""Image size and grey: what ``--image_size`` and ``--grey`` do to one image.

Grey comes first, then the size. Grey is ITU-R BT.601 luma in 16-bit fixed point, as
PIL's own ``convert("L")`` has it::

    L = (19595 R + 38470 G + 7471 B + 2**15) >> 16

Resizing gives a square of side ``image_size``; an image that is not square is
stretched, not cropped. A smaller result takes PIL's box filter (the mean of the area
that each new pixel covers, so nothing aliases), a larger one the bilinear filter. The
choice is made for height and width together: box only if neither side grows.
"""

import dataclasses

import numpy as np
from PIL import Image

from spjax.data.errors import DataError

_LUMA = np.array([19595, 38470, 7471], np.int64)


@dataclasses.dataclass(frozen=True)
class Transform:
    """What happens to each image as it is read.

    Attributes:
      image_size: side of the square result in pixels, or None to keep the size.
      grey: whether colour images become one channel.
    """

    image_size: int | None = None
    grey: bool = False

    def __post_init__(self):
        size = self.image_size
        if size is not None and not (isinstance(size, int) and 1 <= size <= 1024):
            raise DataError(
                f"--image_size={size}: must be a whole number of pixels, 1 to 1024"
            )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Returns uint8 [H', W', C'] for uint8 [H, W, C]."""
        if self.grey:
            image = to_grey(image)
        if self.image_size is not None:
            image = resize(image, self.image_size)
        return image


def to_grey(image: np.ndarray) -> np.ndarray:
    """Returns the luma, uint8 [..., 1], of uint8 [..., 3]; one channel stays as it is.

    Raises:
      DataError: for any other number of channels.
    """
    if image.shape[-1] == 1:
        return image
    if image.shape[-1] != 3:
        raise DataError(
            f"--grey: an image has {image.shape[-1]} channels; only 3 (red, green, "
            "blue) or 1 can become grey. Drop --grey"
        )
    luma = (image.astype(np.int64) @ _LUMA + (1 << 15)) >> 16
    return luma.astype(np.uint8)[..., None]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes uint8 [H, W, C] to uint8 [size, size, C] (filter: see the module)."""
    height, width, channels = image.shape
    if (height, width) == (size, size):
        return image
    grows = size > height or size > width
    filter_ = Image.Resampling.BILINEAR if grows else Image.Resampling.BOX
    if channels == 3:
        return np.asarray(Image.fromarray(image).resize((size, size), filter_))
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(image[..., c])).resize(
                (size, size), filter_
            )
        )
        for c in range(channels)
    ]
    return np.stack(planes, -1)
