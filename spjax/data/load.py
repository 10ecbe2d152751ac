"""``load(name)``: one entry for every kind of data set."""

import os

from spjax.data.assemble import assemble
from spjax.data.binary import as_binary
from spjax.data.dataset import Dataset
from spjax.data.errors import DataError
from spjax.data.folder import open_folder
from spjax.data.npz import open_npz
from spjax.data.resize import Transform
from spjax.data.source import Source


def load(
    name: str,
    *,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
    image_size: int | None = None,
    grey: bool = False,
    seed: int = 0,
) -> Dataset:
    """Loads a data set: training and validation images in memory, test unread.

    Args:
      name: ``digits`` (embedded); ``cifar10_binary``; a TFDS image-classification
        set such as ``mnist``, ``set/config`` or ``set:1.0.0``; ``folder:PATH`` (one
        sub-folder per class) or ``npz:PATH``.
      data_dir: folder of prepared TFDS sets; default the environment's
        ``TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.
      download: whether a TFDS set that is not there may be downloaded.
      image_size: side in pixels to resize every image to; None keeps the size.
      grey: whether colour images become one channel.
      seed: seed of the splits that have to be drawn. Keep it fixed across runs whose
        results are compared.

    Raises:
      DataError: one line naming the flag or file, its value, and what to do.
    """
    transform = Transform(image_size, grey)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise DataError(f"split seed {seed}: must be a whole number, 0 or more")
    return assemble(_open(name, data_dir, download, transform), transform, seed)


def _open(
    name: str,
    data_dir: str | os.PathLike | None,
    download: bool,
    transform: Transform,
) -> Source:
    kind, _, path = name.partition(":")
    if kind == "folder":
        return open_folder(path, transform)
    if kind == "npz":
        return open_npz(path)
    # TFDS takes half a second to import: not for one's own data.
    from spjax.data.tfds_source import open_prepared, open_tfds

    if name == "digits":
        from spjax.data.digits import prepare_digits

        return open_prepared(name, prepare_digits(data_dir))
    if name == "cifar10_binary":
        try:
            source = open_tfds("cifar10", data_dir, download)
        except DataError as error:
            raise DataError(
                str(error).replace("--dataset=cifar10", "--dataset=cifar10_binary", 1)
            ) from error
        return as_binary(source)
    return open_tfds(name, data_dir, download)
