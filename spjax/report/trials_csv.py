"""``trials.csv``: every trial of a run, failed ones too, one line each.

The known columns come first, always all of them and in the order of `COLUMNS`;
whatever else the rows carry follows by name. Numbers are written in the shortest
form that reads back to the same double, truth values as ``true`` and ``false``, the
genome as JSON text, absent values and None as empty cells. An empty cell reads back
as None in a known column and is left out in any other.
"""

import csv
import io
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spjax.report.errors import ReportError
from spjax.report.files import plain, write_text


def _read_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _read_object(text: str) -> dict:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"{text!r:.40} is not a JSON object")
    return value


_READERS: dict[str, Callable[[str], Any]] = {
    "index": int,
    "status": str,
    "validation_error": float,
    "model_size_nonzero": int,
    "model_size_dense": int,
    "model_size_encoded": int,
    "input_output": int,
    "input_weights": int,
    "live_bytes": int,
    "best_order": int,
    "planned_arena": int,
    "macs": int,
    "sparsity": float,
    "feasible": _read_bool,
    "on_front": _read_bool,
    "seconds": float,
    "parent": int,
    "edit": str,
    "reason": str,
    "genome_id": str,
    "genome": _read_object,
}
COLUMNS = tuple(_READERS)


def write_trials_csv(
    path: str | os.PathLike, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Writes all trials, replacing the file in one step.

    Args:
      path: where the file goes.
      rows: trial rows (see `spjax.report.figures`), written in the given order.

    Raises:
      ReportError: if a row has no ``index`` or ``status``, holds something that has
        no text form, or the file cannot be written.
    """
    for row in rows:
        for key in ("index", "status"):
            if row.get(key) is None:
                raise ReportError(f"a trial row has no {key}: {str(dict(row)):.80}")
    extras = sorted({key for row in rows for key in row} - set(COLUMNS))
    lines = [_line([*COLUMNS, *extras])]
    for row in rows:
        known = [_cell(key, row.get(key)) for key in COLUMNS]
        # JSON text in the other columns keeps "12" and 12 apart.
        other = ["" if row.get(key) is None else _json(row[key]) for key in extras]
        lines.append(_line(known + other))
    write_text(path, "".join(lines))


def read_trials_csv(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Returns the rows that `write_trials_csv` wrote, in their order.

    Raises:
      ReportError: if the file is missing or unreadable, lacks a known column, or has
        a cell that does not read; the message names the line and the column.
    """
    try:
        # Not `read_text`, which would turn a carriage return in a cell into "\n".
        text = pathlib.Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ReportError(f"{path} does not exist") from None
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ReportError(f"{path} is not a text file: {error}") from error
    # newline="" leaves line ends inside quoted cells as they are.
    reader = csv.reader(io.StringIO(text, newline=""))
    names = next(reader, [])
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ReportError(f"{path} has no column {missing[0]!r}; is it a trials.csv?")
    rows = []
    try:
        for cells in reader:
            if len(cells) != len(names):
                raise ReportError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells under "
                    f"{len(names)} columns; the file is damaged"
                )
            row = {}
            for name, cell in zip(names, cells, strict=True):
                if cell or name in _READERS:
                    row[name] = _value(name, cell, path, reader.line_num)
            rows.append(row)
    except csv.Error as error:
        raise ReportError(f"{path}, line {reader.line_num}: {error}") from error
    return rows


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    # The writer quotes only the line ends of its own terminator: with "\n" alone a
    # carriage return inside a cell would break the line.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _value(name: str, cell: str, path: str | os.PathLike, line: int) -> Any:
    if not cell:
        return None
    try:
        return _READERS.get(name, json.loads)(cell)
    except ValueError as error:
        raise ReportError(f"{path}, line {line}, column {name}: {error}") from error


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _json(value)
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return str(value).lower()
    if _READERS[name] is int and isinstance(value, float):
        # A count that came through an array of doubles; NaN there means absent.
        if math.isnan(value):
            return ""
        value = int(value) if value.is_integer() else value
    # `repr` of a Python float is the shortest text that reads back the same.
    return repr(value)


def _json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
