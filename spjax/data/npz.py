"""``npz:PATH``: one's own images in a NumPy archive.

Either ``x_train`` and ``y_train`` (with ``x_test`` and ``y_test`` if there is a test
split), or ``images`` and ``labels``. Images are uint8 [N, H, W] or [N, H, W, C] with at
most 4 channels, labels whole numbers [N] or [N, 1] from 0. Pickled arrays are refused.

When the archive is opened only its directory (with a CRC-32 of each array) and the
arrays' headers are read, so that shapes are checked at once while test images and
labels stay unread until they are asked for.
"""

import dataclasses
import pathlib
import zipfile

import numpy as np

from spjax.data.errors import DataError
from spjax.data.resize import Transform
from spjax.data.source import Part, Source, stack

_MAX_CLASSES = 65_536
_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class _Header:
    """What the archive says of one array before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    crc: int

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


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
    headers = _headers(name, file)
    arrays = {
        part: _Arrays(name, file, headers, *keys)
        for part, keys in _keys(name, headers).items()
    }
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
        parts={part: Part(a.size, a.labels, a.images) for part, a in arrays.items()},
        identity=("npz", *(f"{key}:{h}:{h.crc}" for key, h in sorted(headers.items()))),
    )


def _keys(name: str, headers: dict[str, _Header]) -> dict[str, tuple[str, str]]:
    """Returns the names of the image and the label array of each part."""
    if {"x_train", "y_train"} <= headers.keys():
        keys = {"train": ("x_train", "y_train")}
        if ("x_test" in headers) != ("y_test" in headers):
            raise DataError(
                f"--dataset={name}: x_test and y_test must come together; add the "
                "missing one or remove the other"
            )
        if "x_test" in headers:
            keys["test"] = ("x_test", "y_test")
        return keys
    if {"images", "labels"} <= headers.keys():
        return {"train": ("images", "labels")}
    raise DataError(
        f"--dataset={name}: holds {', '.join(headers) or 'no arrays'}; it needs "
        "x_train, y_train (and x_test, y_test), or images, labels"
    )


class _Arrays:
    """The two arrays of one part, checked by their headers, read when asked for."""

    def __init__(
        self,
        name: str,
        file: pathlib.Path,
        headers: dict[str, _Header],
        image_key: str,
        label_key: str,
    ):
        self.num_classes: int | None = None
        self._name, self._file, self._headers = name, file, headers
        self._image_key, self._label_key = image_key, label_key
        images, labels = headers[image_key], headers[label_key]
        if images.dtype != np.uint8 or len(images.shape) not in (3, 4):
            self._refuse(
                image_key, "it must be uint8 [N, H, W] or [N, H, W, C], 0..255"
            )
        if 0 in images.shape:
            self._refuse(image_key, "it holds no pixels; save the images in it")
        if len(images.shape) == 4 and images.shape[-1] > 4:
            self._refuse(image_key, "it must have at most 4 channels, as last axis")
        flat = len(labels.shape) == 1 or labels.shape[1:] == (1,)
        if labels.dtype.kind not in "iu" or not flat:
            self._refuse(label_key, "it must be whole numbers [N]")
        if images.shape[0] != labels.shape[0]:
            raise DataError(
                f"--dataset={name}: {image_key} has {images.shape[0]} images but "
                f"{label_key} has {labels.shape[0]} labels"
            )
        self.size = images.shape[0]

    def labels(self) -> np.ndarray:
        labels = self._load(self._label_key).reshape(-1)
        most = _MAX_CLASSES if self.num_classes is None else self.num_classes
        if labels.min() < 0 or labels.max() >= most:
            allowed = "0, 1, 2, ..."
            if self.num_classes is not None:
                allowed = f"as in training, 0 to {most - 1}"
            raise DataError(
                f"--dataset={self._name}: {self._label_key} holds labels from "
                f"{labels.min()} to {labels.max()}; number the classes {allowed}"
            )
        return labels.astype(np.int32)

    def images(self, indices: np.ndarray, transform: Transform) -> np.ndarray:
        key = self._image_key
        images = self._load(key)
        if images.ndim == 3:
            images = images[..., None]
        named = ((f"{key}[{i}]", images[i]) for i in indices)
        return stack(named, len(indices), transform, f"--dataset={self._name}")

    def _load(self, key: str) -> np.ndarray:
        if _headers(self._name, self._file) != self._headers:
            raise DataError(
                f"--dataset={self._name}: the file changed while it was in use; start "
                "again"
            )
        try:
            with np.load(self._file, allow_pickle=False) as archive:
                return archive[key]
        except _ERRORS as error:
            raise _unreadable(self._name, f"array {key}", error) from error

    def _refuse(self, key: str, need: str) -> None:
        raise DataError(
            f"--dataset={self._name}: {key} is {self._headers[key]}; {need}"
        )


def _headers(name: str, file: pathlib.Path) -> dict[str, _Header]:
    """Reads the archive's directory and the header of every array in it."""
    headers = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".npy"):
                    continue
                with archive.open(entry) as stream:
                    version = np.lib.format.read_magic(stream)
                    read = np.lib.format.read_array_header_1_0
                    if version != (1, 0):
                        read = np.lib.format.read_array_header_2_0
                    shape, _, dtype = read(stream)
                key = entry.filename.removesuffix(".npy")
                headers[key] = _Header(shape, dtype, entry.CRC)
    except _ERRORS as error:
        raise _unreadable(name, "this as an .npz archive", error) from error
    return headers


def _unreadable(name: str, what: str, error: Exception) -> DataError:
    detail = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(
        f"--dataset={name}: cannot read {what} ({detail}); save it again with "
        "np.savez, without pickled objects"
    )
