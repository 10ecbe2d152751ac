"""Any TFDS image-classification set, read with ``data_source``: no TensorFlow.

The prepared files alone are used (``builder_from_directory``): no builder code runs
and no network is touched, so that an absent set is answered at once. Only
``download=True`` runs the set's own builder, after one short request to each of its
hosts, because TFDS' downloader would retry a dead network for minutes.
"""

import difflib
import io
import os
import pathlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from spjax.data.errors import DataError
from spjax.data.resize import Transform
from spjax.data.source import Part, Source, stack

if TYPE_CHECKING:  # half a second to import: only where a set is opened
    import tensorflow_datasets as tfds

_CHUNK = 1024
_VALIDATION_NAMES = ("validation", "val", "valid")


def search_dir(data_dir: str | os.PathLike | None) -> pathlib.Path:
    """Returns where prepared sets are.

    That is ``data_dir``, else the environment's ``TFDS_DATA_DIR``, else TFDS' own
    default ``~/tensorflow_datasets``.
    """
    named = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(named).expanduser()


def open_tfds(
    name: str,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> Source:
    """Opens a prepared TFDS set by name.

    Args:
      name: ``set``, ``set/config``, ``set:version`` or ``set/config:version``.
      data_dir: see ``search_dir``.
      download: whether a set that is not there may be downloaded and prepared.

    Raises:
      DataError: if the set is unknown or absent, cannot be downloaded, or is no image
        classification set that can be read without TensorFlow.
    """
    match = re.fullmatch(r"(\w+)(?:/([^:/]+))?(?::([\d.*]+))?", name)
    if match is None:
        raise DataError(
            f"--dataset={name}: not a name; use digits, cifar10_binary, a TFDS set "
            "such as mnist, set/config or set:1.0.0, folder:PATH or npz:PATH"
        )
    root = search_dir(data_dir)
    folder = _find(root, *match.groups())
    if folder is None:
        if not download:
            raise DataError(_absent(name, match[1], root))
        folder = _download(name, match[1], root)
    return open_prepared(name, folder)


def open_prepared(name: str, folder: pathlib.Path) -> Source:
    """Opens the prepared set in ``folder`` (which holds ``dataset_info.json``)."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(folder))
    except Exception as error:  # TFDS raises many kinds for a broken description
        raise DataError(
            f"--dataset={name}: cannot read the description in {folder}: "
            f"{_first_line(error)}; delete the folder and prepare the set again"
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
                f"{self._builder.data_path}: {_first_line(error)}; prepare it again"
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
                image = np.asarray(Image.open(io.BytesIO(image)).convert(mode))
            except (OSError, SyntaxError, ValueError) as error:
                raise DataError(
                    f"--dataset={self._name}: {self.split} image {index} cannot be "
                    f"decoded: {_first_line(error)}; prepare the set again"
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


def _find(
    root: pathlib.Path, set_name: str, config: str | None, version: str | None
) -> pathlib.Path | None:
    """Returns the prepared folder under ``root``, the newest version if several."""
    base = root / set_name
    folders = [base / config] if config else [base]
    if not config and base.is_dir():  # one prepared config needs no naming
        inner = sorted(p for p in base.iterdir() if p.is_dir())
        if not any(_is_prepared(p) for p in inner):
            configs = [p for p in inner if any(map(_is_prepared, _subfolders(p)))]
            if len(configs) > 1:
                raise DataError(
                    f"--dataset={set_name}: {base} holds several configurations; "
                    f"choose one: {', '.join(f'{set_name}/{p.name}' for p in configs)}"
                )
            folders = configs
    pattern = (version or "*.*.*").replace(".", r"\.").replace("*", r"\d+")
    found = [
        p
        for folder in folders
        for p in _subfolders(folder)
        if re.fullmatch(pattern, p.name) and _is_prepared(p)
    ]
    return max(found, key=lambda p: [int(n) for n in p.name.split(".")], default=None)


def _subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    return [p for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []


def _is_prepared(folder: pathlib.Path) -> bool:
    return all((folder / f).is_file() for f in ("dataset_info.json", "features.json"))


def _absent(name: str, set_name: str, root: pathlib.Path) -> str:
    """Says why a set was not found and what to do."""
    import tensorflow_datasets as tfds

    known = set(tfds.list_builders(with_community_datasets=False)) - {"sklearn_digits"}
    here = {p.name for p in _subfolders(root) if p.name[:1] not in "._"}
    if set_name in known:
        return (
            f"--dataset={name}: not found in {root}; pass --download to fetch and "
            "prepare it there, or set --data_dir or TFDS_DATA_DIR to where it is"
        )
    if set_name in here:
        return (
            f"--dataset={name}: {root / set_name} holds no such prepared version or "
            "configuration; prepare it again, or correct the name"
        )
    ours = {"digits", "cifar10_binary"}
    close = difflib.get_close_matches(set_name, sorted(known | here | ours), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "is it misspelt?"
    return (
        f"--dataset={name}: no such data set in {root} nor in TFDS: {hint} Own data: "
        "folder:PATH or npz:PATH"
    )


def _download(name: str, set_name: str, root: pathlib.Path) -> pathlib.Path:
    import tensorflow_datasets as tfds

    if set_name not in tfds.list_builders(with_community_datasets=False):
        raise DataError(_absent(name, set_name, root))
    try:
        builder = tfds.builder(name, data_dir=str(root), file_format="array_record")
        _require_hosts(name, builder.url_infos or {})
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    except DataError:
        raise
    except ImportError as error:
        raise DataError(
            f"--dataset={name} --download: preparing this set needs a package that "
            f"is not installed ({_first_line(error)}); pip install {error.name or 'it'}"
            " (tensorflow-cpu if it is tensorflow), or prepare the set elsewhere and "
            "pass --data_dir"
        ) from error
    except Exception as error:  # network, disk, checksums: all end the same way
        raise DataError(
            f"--dataset={name} --download: could not download and prepare it in "
            f"{root}: {_first_line(error)}; try again, or set --data_dir to a "
            "prepared copy"
        ) from error
    return pathlib.Path(builder.data_path)


def _require_hosts(name: str, url_infos: Iterable[str]) -> None:
    """Asks each host once, for seconds: TFDS itself would retry for minutes."""
    import requests

    hosts = {re.match(r"https?://[^/]+", url): url for url in url_infos}
    seen = {m[0]: url for m, url in hosts.items() if m}
    for host, url in seen.items():
        try:
            requests.head(url, timeout=10, allow_redirects=False)
        except requests.RequestException as error:
            raise DataError(
                f"--dataset={name} --download: {host} cannot be reached "
                f"({type(error).__name__}); check the network, or set --data_dir or "
                "TFDS_DATA_DIR to a prepared copy"
            ) from error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
