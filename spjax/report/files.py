"""Files that are whole or absent: written beside their place, then renamed.

``os.replace`` is atomic on one file system, so a reader (or a run that resumes after
a crash) meets either the old file or the new one, never half of one.
"""

import contextlib
import json
import math
import os
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from spjax.report.errors import ReportError


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Replaces the file at ``path`` by ``content`` in one step.

    Args:
      path: where the file goes; missing folders are made.
      content: the whole content.

    Raises:
      ReportError: if the system refuses (full disk, no right to write); the file
        that stood at ``path`` before is still there, untouched.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ReportError(
            f"cannot write {path}: {error.strerror or error}; make room there or "
            "choose another folder"
        ) from error
    finally:
        # Gone already unless something failed above; its own failure says nothing new.
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike, content: str) -> None:
    """Replaces the file at ``path`` by ``content`` as UTF-8; see `write_bytes`."""
    # Half a surrogate pair (from an undecodable file name) has no UTF-8 form.
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Replaces the file at ``path`` by ``content`` as indented strict JSON.

    Args:
      path: where the file goes.
      content: dicts, lists, numbers, strings; NumPy scalars and arrays, tuples and
        paths are turned into their JSON kin, numbers that JSON does not have (NaN
        and the infinities) into null.

    Raises:
      ReportError: if something has no JSON form, or the file cannot be written.
    """
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Returns the content of a JSON file.

    Raises:
      ReportError: if the file is missing, unreadable, not UTF-8 or not JSON.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReportError(f"{path} does not exist") from None
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ReportError(f"{path} is not a text file: {error}") from error
    try:
        return json.loads(text)
    except ValueError as error:
        raise ReportError(f"{path} is not JSON: {error}") from error


def plain(value: Any) -> Any:
    """Returns ``value`` built from JSON's types alone; see `write_json`."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise ReportError(
        f"a {type(value).__name__} has no place in a result file: {value!r:.80}"
    )
