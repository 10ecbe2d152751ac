"""Any TFDS image-classification set, read with ``data_source``: no TensorFlow.

Each split is read once for its labels, which leaves the encoded images (PNG or JPEG
bytes) in memory; only images that are asked for are decoded, by PIL. That takes about
55 us of processor time an image of MNIST, against 80 us for TFDS' own decoding.
"""

import io
import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from spjax.data.errors import DataError
from spjax.data.resize import Transform
from spjax.data.source import Part, Source, stack
from spjax.data.tfds_find import find_prepared, first_line, quiet

if TYPE_CHECKING:  # half a second to import: only where a set is opened
    import tensorflow_datasets as tfds

_CHUNK = 1024
_VALIDATION_NAMES = ("validation", "val", "valid")


def open_tfds(
    name: str,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> Source:
    """Opens a TFDS set by name: ``find_prepared``, then ``open_prepared``."""
    return open_prepared(name, find_prepared(name, data_dir, download))


def open_prepared(name: str, folder: pathlib.Path) -> Source:
    """Opens the prepared set in ``folder`` (which holds ``dataset_info.json``)."""
    import tensorflow_datasets as tfds

    try:
        with quiet():
            builder = tfds.builder_from_directory(str(folder))
    except Exception as error:  # TFDS raises many kinds for a broken description
        raise DataError(
            f"--dataset={name}: cannot read the description in {folder}: "
            f"{first_line(error)}; delete the folder and prepare the set again"
        ) from error
    info = builder.info
    keys = _keys(name, info)
    file_format = info.file_format.value if info.file_format else "unknown"
    if file_format != "array_record":
        raise DataError(
            f"--dataset={name}: {folder} was prepared as {file_format}; only "
            "array_record can be read without TensorFlow. Prepare it again with "
            "file_format='array_record', or pass another --data_dir"
        )
    parts = _parts(name, builder, keys)
    identity = (
        f"tfds:{info.full_name}",
        *(
            f"{key}:{split.num_examples}:{split.num_bytes}"
            for key, split in sorted(info.splits.items())
        ),
    )
    return Source(
        name=name,
        class_names=tuple(info.features[keys[1]].names),
        parts={key: part.as_part() for key, part in parts.items()},
        identity=identity,
        notes=lambda: _notes(name, parts["train"]),
    )


class _Reader:
    """Reads one split; keeps its encoded images after the pass over the labels."""

    def __init__(
        self,
        name: str,
        builder: "tfds.core.DatasetBuilder",
        split: str,
        keys: tuple[str, str],
    ):
        self.split = split
        self._name, self._builder = name, builder
        self._keys = keys
        self._shape = builder.info.features[keys[0]].shape
        self._encoded: list | None = None
        self._labels: np.ndarray | None = None

    def as_part(self) -> Part:
        size = self._builder.info.splits[self.split].num_examples
        return Part(size, self.labels, self.images)

    def labels(self) -> np.ndarray:
        self._read()
        return self._labels

    def images(self, indices: np.ndarray, transform: Transform) -> np.ndarray:
        self._read()
        named = (
            (f"{self.split} image {i}", self._decode(i)) for i in map(int, indices)
        )
        return stack(named, len(indices), transform, f"--dataset={self._name}")

    def jpeg_share(self) -> float:
        """Returns the share of images that are stored as JPEG."""
        self._read()
        jpegs = sum(
            isinstance(e, bytes) and e.startswith(b"\xff\xd8\xff")
            for e in self._encoded
        )
        return jpegs / max(len(self._encoded), 1)

    def _read(self) -> None:
        if self._encoded is not None:
            return
        import tensorflow_datasets as tfds

        image_key, label_key = self._keys
        info = self._builder.info
        for path in info.splits[self.split].filepaths:
            if not path.exists():
                raise DataError(
                    f"--dataset={self._name}: {path} is missing; prepare the set again"
                )
        skip = isinstance(info.features[image_key], tfds.features.Image)
        decoders = {image_key: tfds.decode.SkipDecoding()} if skip else None
        try:
            rows = self._builder.as_data_source(self.split, decoders=decoders)
            encoded, labels = [], np.empty(len(rows), np.int32)
            for start in range(0, len(rows), _CHUNK):
                keys = list(range(start, min(start + _CHUNK, len(rows))))
                for key, row in zip(keys, rows.__getitems__(keys), strict=True):
                    encoded.append(row[image_key])
                    labels[key] = row[label_key]
        except Exception as error:  # a damaged record fails in many ways
            raise DataError(
                f"--dataset={self._name}: cannot read split {self.split!r} in "
                f"{self._builder.data_path}: {first_line(error)}; prepare it again"
            ) from error
        if len(labels) and (labels.min() < 0 or labels.max() >= self._num_classes()):
            bad = int(np.flatnonzero((labels < 0) | (labels >= self._num_classes()))[0])
            raise DataError(
                f"--dataset={self._name}: {self.split} image {bad} has label "
                f"{labels[bad]}, outside 0..{self._num_classes() - 1}: images without "
                "a label cannot be used"
            )
        self._encoded, self._labels = encoded, labels

    def _num_classes(self) -> int:
        return self._builder.info.features[self._keys[1]].num_classes

    def _decode(self, index: int) -> np.ndarray:
        image = self._encoded[index]
        if isinstance(image, bytes):
            mode = "L" if self._shape[-1] == 1 else "RGB"
            try:
                opened = Image.open(io.BytesIO(image))
                # convert copies even where there is nothing to convert.
                image = np.asarray(
                    opened if opened.mode == mode else opened.convert(mode)
                )
            except (OSError, SyntaxError, ValueError) as error:
                raise DataError(
                    f"--dataset={self._name}: {self.split} image {index} cannot be "
                    f"decoded: {first_line(error)}; prepare the set again"
                ) from error
        return image[..., None] if image.ndim == 2 else image


def _parts(
    name: str, builder: "tfds.core.DatasetBuilder", keys: tuple[str, str]
) -> dict[str, _Reader]:
    splits = builder.info.splits
    if "train" not in splits:
        raise DataError(
            f"--dataset={name}: has no train split (it has: {', '.join(splits)})"
        )
    names = {"train": "train"}
    for split in _VALIDATION_NAMES:
        if split in splits:
            names["validation"] = split
    if "test" in splits:
        names["test"] = "test"
    return {part: _Reader(name, builder, split, keys) for part, split in names.items()}


def _keys(name: str, info: "tfds.core.DatasetInfo") -> tuple[str, str]:
    """Returns the names of the image and the label feature, or refuses the set."""
    import tensorflow_datasets as tfds

    features = dict(info.features) if hasattr(info.features, "items") else {}
    keys = info.supervised_keys
    if not (isinstance(keys, tuple) and len(keys) == 2):
        keys = ("image", "label")
    image, label = (features.get(key) for key in keys)
    is_image = (
        isinstance(image, tfds.features.Tensor | tfds.features.Image)
        and image.np_dtype == np.uint8
        and len(image.shape) == 3
        and image.shape[-1] in (1, 3)
    )
    if not (is_image and isinstance(label, tfds.features.ClassLabel)):
        held = ", ".join(f"{k}: {type(v).__name__}" for k, v in features.items())
        raise DataError(
            f"--dataset={name}: not an image-classification set that spjax can read; "
            f"it needs a uint8 image of 1 or 3 channels and a class label, and has "
            f"{held or 'other features'}"
        )
    return keys


def _notes(name: str, train: _Reader) -> tuple[str, ...]:
    share = train.jpeg_share()
    if not share:
        return ()
    return (
        f"{name}: {share:.0%} of the training images are stored as JPEG, so pixels "
        "went through lossy compression",
    )
