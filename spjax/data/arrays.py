"""Training and validation arrays in a folder, for worker processes to memory-map.

``save_arrays`` writes ``train_images.npy``, ``train_labels.npy``, their validation
twins and ``meta.json``; ``open_arrays`` maps them read-only, so that any number of
workers share one copy in memory. The test split is never written: a data set that
was opened this way refuses to read it.
"""

import json
import os
import pathlib
import tempfile
from typing import IO

import numpy as np

from spjax.data.dataset import Dataset, Normalisation, Split
from spjax.data.errors import DataError

_VERSION = 1
_SPLITS = ("train", "validation")


def save_arrays(dataset: Dataset, folder: str | os.PathLike) -> None:
    """Writes a data set's training and validation arrays and their description.

    Each file appears whole or not at all; ``meta.json`` comes last. Nothing is
    written if the folder already holds this data set.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    meta = {"version": _VERSION, **dataset.describe()}
    try:
        if json.loads((folder / "meta.json").read_text()) == meta:
            open_arrays(folder)
            return
    except (OSError, ValueError):
        pass
    (folder / "meta.json").unlink(missing_ok=True)
    for split in _SPLITS:
        for kind in ("images", "labels"):
            array = getattr(getattr(dataset, split), kind)
            with _replacing(folder / f"{split}_{kind}.npy") as file:
                np.save(file, array)
    with _replacing(folder / "meta.json") as file:
        file.write(json.dumps(meta, indent=1).encode())


def open_arrays(folder: str | os.PathLike) -> Dataset:
    """Opens what ``save_arrays`` wrote; the arrays are read-only memory maps.

    Raises:
      DataError: if the folder does not hold a whole data set.
    """
    folder = pathlib.Path(folder)
    try:
        meta = json.loads((folder / "meta.json").read_text())
        if meta["version"] != _VERSION:
            raise ValueError(f"version {meta['version']}, not {_VERSION}")
        splits = {
            s: Split(
                np.load(folder / f"{s}_images.npy", mmap_mode="r"),
                np.load(folder / f"{s}_labels.npy", mmap_mode="r"),
            )
            for s in _SPLITS
        }
        sizes = meta["sizes"]
        if any(len(splits[s]) != sizes[s] for s in _SPLITS):
            raise ValueError("an array has another length than meta.json says")
        normalisation = meta["normalisation"]
        return Dataset(
            name=meta["name"],
            train=splits["train"],
            validation=splits["validation"],
            num_classes=meta["num_classes"],
            class_names=tuple(meta["class_names"]),
            normalisation=Normalisation(
                tuple(normalisation["mean"]), tuple(normalisation["std"])
            ),
            notes=tuple(meta["notes"]),
            split_seed=meta["split_seed"],
            fingerprint=meta["fingerprint"],
            input_shape=tuple(meta["input_shape"]),
            test_size=sizes["test"],
            read_test=_no_test,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: no complete data set there ({error}); delete the folder, it "
            "is written anew"
        ) from error


def _no_test() -> Split:
    raise DataError(
        "the test split is not among a worker's arrays; read it with load(...).test()"
    )


class _replacing:
    """Opens a temporary file and renames it to ``path`` when all went well."""

    def __init__(self, path: pathlib.Path):
        self._path = path

    def __enter__(self) -> IO[bytes]:
        self._file = tempfile.NamedTemporaryFile(
            dir=self._path.parent, prefix=".", delete=False
        )
        return self._file

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._file.name, self._path)
        else:
            os.unlink(self._file.name)
