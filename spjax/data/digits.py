"""The embedded data set: scikit-learn's handwritten digits, as a TFDS builder.

1,797 real 8x8 grey images of the digits 0-9 (half of the UCI "Optical Recognition of
Handwritten Digits" set, Alpaydin & Kaynak 1998), shipped inside scikit-learn, so
that nothing is downloaded. Pixel values 0..16 are scaled to 0..255. A fixed
permutation gives 1,437 training and 360 test images.

TFDS prepares the builder once, in ``array_record`` (its parquet writer drops rows,
and the other formats need TensorFlow).
"""

import contextlib
import errno
import io
import os
import pathlib
import tempfile

import numpy as np
import tensorflow_datasets as tfds

from spjax.data.errors import DataError
from spjax.data.tfds_find import quiet

_TEST_SIZE = 360


class SklearnDigits(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the digits: ``image`` uint8 [8, 8, 1], ``label`` 0..9."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="scikit-learn's handwritten digits, 8x8 grey, values 0..255.",
            homepage="https://archive.ics.uci.edu/dataset/80",
            features=tfds.features.FeaturesDict(
                {
                    # Tensor, not Image: encoding an Image needs TensorFlow.
                    "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        from sklearn.datasets import load_digits  # 1 s to import: only when preparing

        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
        order = np.random.default_rng(0).permutation(len(images))
        train, test = order[:-_TEST_SIZE], order[-_TEST_SIZE:]
        return {
            "train": self._generate_examples(images[train], digits.target[train]),
            "test": self._generate_examples(images[test], digits.target[test]),
        }

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray):
        for key, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield key, {"image": image, "label": int(label)}


_RELATIVE = pathlib.Path(SklearnDigits.name, str(SklearnDigits.VERSION))


def prepare_digits(data_dir: str | os.PathLike | None = None) -> pathlib.Path:
    """Returns the folder with the prepared digits, preparing them if need be.

    Looked for, then written, in this order: ``data_dir``, the environment's
    ``TFDS_DATA_DIR``, and ``spjax`` in the user's cache (``XDG_CACHE_HOME``, else
    ``~/.cache``); a folder that cannot be written is passed over. Safe when several
    processes prepare at once: each writes a folder of its own and the first rename
    wins.

    Raises:
      DataError: if no candidate folder can be written.
    """
    roots = _roots(data_dir)
    for root in roots:
        if _is_prepared(root / _RELATIVE):
            return root / _RELATIVE
    problems = []
    for root in roots:
        try:
            return _prepare_in(root)
        except OSError as error:
            problems.append(f"{root}: {error.strerror or error}")
    raise DataError(
        f"--dataset=digits: no folder to prepare it in ({'; '.join(problems)}); pass "
        "--data_dir=FOLDER with a folder that you can write"
    )


def _roots(data_dir: str | os.PathLike | None) -> list[pathlib.Path]:
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    named = [data_dir, os.environ.get("TFDS_DATA_DIR")]
    roots = [pathlib.Path(d).expanduser() for d in named if d]
    return [*roots, pathlib.Path(cache) / "spjax"]


def _is_prepared(folder: pathlib.Path) -> bool:
    return all((folder / f).is_file() for f in ("dataset_info.json", "features.json"))


def _prepare_in(root: pathlib.Path) -> pathlib.Path:
    root.mkdir(parents=True, exist_ok=True)
    # Permission bits, because root may write where nobody is meant to.
    if not root.stat().st_mode & 0o222:
        raise PermissionError(errno.EACCES, "read-only", str(root))
    final = root / _RELATIVE
    with tempfile.TemporaryDirectory(prefix=".spjax_digits_", dir=root) as own:
        builder = SklearnDigits(data_dir=own, file_format="array_record")
        # TFDS' messages speak of a download; nothing is downloaded here.
        with (
            quiet(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            builder.download_and_prepare()
        final.parent.mkdir(exist_ok=True)
        try:
            os.rename(pathlib.Path(own) / _RELATIVE, final)
        except OSError:
            if not _is_prepared(final):  # else another process was first: use its
                raise
    return final
