"""Weights and masks as .npz files: plain arrays under paths, no pickle.

A nested dict ``{"params": {"conv": {"kernel": ...}}}`` is stored as the array
``params/conv/kernel``; any NumPy can read it.
"""

import contextlib
import os
import zipfile
from collections.abc import Mapping

import numpy as np


class FileError(ValueError):
    """A file of weights that cannot be read; the message names it."""


def flatten(tree: Mapping, prefix: str = "") -> dict[str, np.ndarray]:
    """Turns nested dicts of arrays into ``{"a/b/c": array}``, in sorted order."""
    flat = {}
    for name in sorted(tree):
        path = f"{prefix}{name}"
        if isinstance(tree[name], Mapping):
            flat |= flatten(tree[name], f"{path}/")
        else:
            flat[path] = np.asarray(tree[name])
    return flat


def unflatten(flat: Mapping[str, np.ndarray]) -> dict:
    """Inverse of ``flatten``."""
    tree: dict = {}
    for path, array in flat.items():
        *folders, leaf = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = array
    return tree


def save_tree(path: str | os.PathLike, tree: Mapping) -> None:
    """Writes nested dicts of arrays; the file appears whole or not at all.

    Args:
      path: where to; replaced if it exists.
      tree: nested dicts with string keys and arrays as leaves.
    """
    temporary = f"{os.fspath(path)}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **flatten(tree))
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def load_tree(path: str | os.PathLike) -> dict:
    """Reads what ``save_tree`` wrote.

    Args:
      path: an .npz file.

    Returns:
      Nested dicts of NumPy arrays.

    Raises:
      FileError: if the file is missing, damaged or not of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return unflatten({name: archive[name] for name in archive.files})
    except FileNotFoundError as error:
        raise FileError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"{path} cannot be read as .npz: {error}") from error
