"""``npz:PATH``: one's own images in a NumPy archive.

Either ``x_train`` and ``y_train`` (with ``x_test`` and ``y_test`` if there is a test
split), or ``images`` and ``labels``. Images are uint8 [N, H, W] or [N, H, W, C],
labels whole numbers [N] from 0. Pickled arrays are refused. Each array is read when
it is needed, so the test images of an archive that has them stay unread.
"""

import pathlib
import zipfile

import numpy as np

from spjax.data.errors import DataError
from spjax.data.resize import Transform
from spjax.data.source import Part, Source, stack

_LAYOUTS = "x_train, y_train (and x_test, y_test), or images, labels"


def open_npz(path: str) -> Source:
    """Opens ``npz:PATH``.

    Raises:
      DataError: if the file is missing or corrupt, or its arrays are not as the
        module says.
    """
    name = f"npz:{path}"
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"--dataset={name}: no such file; give the path of an .npz")
    crcs = _crcs(name, file)
    if {"x_train", "y_train"} <= crcs.keys():
        pairs = {"train": ("x_train", "y_train")}
        if ("x_test" in crcs) != ("y_test" in crcs):
            raise DataError(
                f"--dataset={name}: x_test and y_test must come together; add the "
                "missing one or remove the other"
            )
        if "x_test" in crcs:
            pairs["test"] = ("x_test", "y_test")
    elif {"images", "labels"} <= crcs.keys():
        pairs = {"train": ("images", "labels")}
    else:
        raise DataError(
            f"--dataset={name}: holds {', '.join(crcs) or 'no arrays'}; it needs "
            f"{_LAYOUTS}"
        )
    arrays = {part: _Arrays(name, file, crcs, *keys) for part, keys in pairs.items()}
    labels = arrays["train"].labels()
    num_classes = int(labels.max()) + 1
    missing = np.setdiff1d(np.arange(num_classes), labels)
    if missing.size:
        raise DataError(
            f"--dataset={name}: no training image has label {missing[0]}, though "
            f"labels go up to {num_classes - 1}; number the classes 0, 1, 2, ..."
        )
    for part in arrays.values():
        part.num_classes = num_classes
    return Source(
        name=name,
        class_names=tuple(str(c) for c in range(num_classes)),
        parts={
            part: Part(len(a.labels()), a.labels, a.images)
            for part, a in arrays.items()
        },
        identity=("npz", *(f"{key}:{crc:08x}" for key, crc in sorted(crcs.items()))),
    )


class _Arrays:
    """The two arrays of one part, each read when asked for."""

    def __init__(
        self,
        name: str,
        file: pathlib.Path,
        crcs: dict[str, int],
        image_key: str,
        label_key: str,
    ):
        self.num_classes: int | None = None
        self._name, self._file, self._crcs = name, file, crcs
        self._image_key, self._label_key = image_key, label_key

    def labels(self) -> np.ndarray:
        key = self._label_key
        labels = self._load(key)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
            self._refuse(key, labels, "whole numbers of shape [N]")
        if labels.min() < 0 or labels.max() > 65_535:
            raise DataError(
                f"--dataset={self._name}: {key} holds labels from {labels.min()} to "
                f"{labels.max()}; number the classes 0, 1, 2, ..."
            )
        if self.num_classes is not None and labels.max() >= self.num_classes:
            raise DataError(
                f"--dataset={self._name}: {key} has label {labels.max()}, which no "
                f"training image has (they go up to {self.num_classes - 1})"
            )
        return labels.astype(np.int32)

    def images(self, indices: np.ndarray, transform: Transform) -> np.ndarray:
        key = self._image_key
        images = self._load(key)
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
            self._refuse(key, images, "uint8 [N, H, W] or [N, H, W, C], 0..255")
        count = len(self.labels())
        if len(images) != count:
            raise DataError(
                f"--dataset={self._name}: {key} has {len(images)} images but "
                f"{self._label_key} has {count} labels"
            )
        if images.ndim == 3:
            images = images[..., None]
        if images.shape[-1] > 4:
            self._refuse(key, images, "at most 4 channels, as the last axis")
        named = ((f"{key}[{i}]", images[i]) for i in indices)
        return stack(named, len(indices), transform, f"--dataset={self._name}")

    def _load(self, key: str) -> np.ndarray:
        if _crcs(self._name, self._file) != self._crcs:
            raise DataError(
                f"--dataset={self._name}: the file changed while it was in use; start "
                "again"
            )
        try:
            with np.load(self._file, allow_pickle=False) as archive:
                return archive[key]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"--dataset={self._name}: cannot read array {key}: "
                f"{str(error).splitlines()[0]}; save it again with np.savez"
            ) from error

    def _refuse(self, key: str, array: np.ndarray, need: str) -> None:
        raise DataError(
            f"--dataset={self._name}: {key} is {array.dtype} {list(array.shape)}; it "
            f"must be {need}"
        )


def _crcs(name: str, file: pathlib.Path) -> dict[str, int]:
    """Returns the stored CRC-32 of every array, from the archive's directory alone."""
    try:
        with zipfile.ZipFile(file) as archive:
            return {
                entry.filename.removesuffix(".npy"): entry.CRC
                for entry in archive.infolist()
            }
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"--dataset={name}: not a readable .npz archive ({error}); save it again "
            "with np.savez"
        ) from error
