"""``front.json``: the Pareto front as one JSON object.

Keys: ``schema`` and ``schema_version``; ``header``, the facts of the run; ``models``,
one line on what each figure means; ``objectives``, the three row keys that were
minimised; ``limits``, the board's, in bytes, each beside the figure that it bounds;
``pick``, the index of the point chosen for the board, or null, and ``pick_reading``;
``points``, the front from the lowest validation error to the highest. A point is a
trial's own (``reading`` 0) or a further reading of its network, at another threshold.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from spjax.report import figures
from spjax.report.errors import ReportError
from spjax.report.files import plain, read_json, write_json

SCHEMA = "spjax.front"
SCHEMA_VERSION = 1

_REQUIRED = (
    "validation_error",
    "model_size_nonzero",
    "model_size_dense",
    "model_size_encoded",
    "input_output",
    "input_weights",
    "live_bytes",
    "best_order",
    "planned_arena",
    "macs",
    "sparsity",
)
_FILES = ("genome", "weights", "masks")


def front_json(
    header: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    *,
    folder: str | os.PathLike = ".",
) -> dict[str, Any]:
    """Returns the content of ``front.json``.

    Args:
      header: facts of the run (see `spjax.report.figures`).
      points: the rows of the front. A row's optional ``files`` maps ``genome``,
        ``weights`` and ``masks`` to paths; absolute ones are made relative to
        ``folder``, so that the folder can be moved as a whole.
      folder: the folder that the file will stand in.

    Returns:
      A dict of JSON's own types.

    Raises:
      ReportError: if a point lacks a figure or has one that is no finite number.
    """
    limits = figures.limits(header)
    memory, size = figures.memory_key(header), figures.size_key(header)
    points = [_point(point, pathlib.Path(folder)) for point in points]
    for point in points:
        _check_point(point, memory, "front")
    order = ("validation_error", memory, size, "index", "reading")
    points.sort(key=lambda p: tuple(p.get(name) or 0 for name in order))
    pick = next((p for p in points if p.get("feasible")), None)
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "header": plain(header),
        "models": dict(figures.MODELS),
        "objectives": ["validation_error", size, memory],
        "limits": {
            "board": limits.name,
            memory: plain(limits.ram_bytes),
            size: plain(limits.flash_bytes),
        },
        "pick": pick and pick["index"],
        "pick_reading": pick and (pick.get("reading") or 0),
        "points": points,
    }


def write_front(
    path: str | os.PathLike,
    header: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
) -> None:
    """Writes ``front.json``, replacing the file in one step; see `front_json`.

    Raises:
      ReportError: as `front_json`, or if the file cannot be written.
    """
    write_json(path, front_json(header, points, folder=pathlib.Path(path).parent))


def read_front(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the content of a ``front.json``, checked.

    Raises:
      ReportError: if the file is missing, is not JSON, is not a front, has a newer
        schema than this version reads, or has a damaged point.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ReportError(f"{path} is not a front: it has no schema {SCHEMA!r}")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ReportError(
            f"{path} has schema version {version!r}; this spjax reads "
            f"{SCHEMA_VERSION}: use the spjax that wrote it, or write it again"
        )
    for key, kind in (("header", dict), ("models", dict), ("points", list)):
        if not isinstance(content.get(key), kind):
            raise ReportError(f"{path} is damaged: {key!r} is not a {kind.__name__}")
    memory = figures.memory_key(content["header"])
    for point in content["points"]:
        _check_point(point, memory, str(path))
    return content


def _point(row: Mapping[str, Any], folder: pathlib.Path) -> dict[str, Any]:
    point = plain(row)
    if point.get("files") is not None:
        point["files"] = {
            kind: _relative(name, folder) for kind, name in point["files"].items()
        }
    return point


def _relative(name: str | None, folder: pathlib.Path) -> str | None:
    if name is None:
        return None
    if os.path.isabs(name):
        name = os.path.relpath(name, os.path.abspath(folder))
    return pathlib.PurePath(name).as_posix()


def _check_point(point: Any, memory: str, where: str) -> None:
    if not isinstance(point, dict) or not isinstance(point.get("index"), int):
        raise ReportError(f"{where}: a point has no trial index: {point!r:.80}")
    name = f"{where}: point of trial {point['index']}"
    for key in (*_REQUIRED, memory):
        if not figures.is_number(point.get(key)):
            raise ReportError(f"{name}: {key} is {point.get(key)!r}, not a number")
    if not isinstance(point.get("genome"), dict):
        raise ReportError(f"{name}: genome is {point.get('genome')!r:.40}, not a dict")
    files = point.get("files")
    if files is not None and not isinstance(files, dict):
        raise ReportError(f"{name}: files is {files!r:.40}, not a dict")
