"""One table of all cells: the swept flags, how each run ended, what it found.

Results are read from the run folders without knowing the experiment: every number,
text or truth value at the top level of ``best.json`` and in its object ``point`` is a
column, and ``front_points`` is the number of ``points`` in ``front.json``.
"""

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from launch.record import Folder

Row = dict[str, Any]

# What a terminal is wide enough for, beside the swept flags; the files hold all.
_SHOWN = (
    "status",
    "validation_error",
    "test_error",
    "model_size_nonzero",
    "model_size_dense",
    "input_output",
    "planned_arena",
    "macs",
    "feasible",
    "front_points",
    "genome_id",
)
_SKIPPED = ("schema", "schema_version")


def collect(folders: Sequence[Folder]) -> list[Row]:
    """Returns one row per cell.

    Raises:
      LaunchError: if a cell's own record cannot be read.
    """
    return [_row(folder) for folder in folders]


def columns(rows: Sequence[Row]) -> list[str]:
    """Returns all columns of the rows, in the order in which they first appear."""
    return list(dict.fromkeys(key for row in rows for key in row))


def shown_columns(folders: Sequence[Folder], rows: Sequence[Row]) -> list[str]:
    """Returns the columns that a terminal shows: swept flags and main figures."""
    swept = [flag for flag, _ in folders[0].cell.settings] if folders else []
    present = set(columns(rows))
    return swept + [key for key in _SHOWN if key in present and key not in swept]


def to_csv(rows: Sequence[Row]) -> str:
    """Returns the rows as CSV with a header line; absent values are empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def to_markdown(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """Returns the rows as a Markdown table of the given columns."""
    lines = [list(keys), ["---"] * len(keys)]
    lines += [[text(row.get(key)) for key in keys] for row in rows]
    return "".join(f"| {' | '.join(map(_escape, line))} |\n" for line in lines)


def text(value: Any) -> str:
    """Returns a value as a table shows it: yes and no, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value == 0 or 1e-3 <= abs(value) < 1e9:
            return f"{value:.4f}".rstrip("0").rstrip(".")
        return f"{value:.3g}"
    return str(value)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _row(folder: Folder) -> Row:
    record = folder.read()
    row: Row = dict(folder.cell.settings)
    row["status"] = _status(record.exit_code if record else None)
    row["seconds"] = round(record.seconds, 1) if record else None
    results, problems = _results(folder.run_dir)
    # A result called like a swept flag is the same thing said twice: the flag wins.
    row |= {key: value for key, value in results.items() if key not in row}
    if problems:
        row["status"] += f", unreadable {' and '.join(problems)}"
    row["run_dir"] = str(folder.run_dir)
    return row


def _status(exit_code: int | None) -> str:
    if exit_code is None:
        return "not run"
    if exit_code < 0:
        return f"killed by signal {-exit_code}"
    return "finished" if exit_code == 0 else f"failed ({exit_code})"


def _results(run_dir: pathlib.Path) -> tuple[Row, list[str]]:
    """Returns the figures of a run folder and the names of files that are damaged."""
    found: Row = {}
    problems = []
    for name in ("best.json", "front.json"):
        try:
            content = json.loads((run_dir / name).read_text())
            if not isinstance(content, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            problems.append(name)
            continue
        if name == "best.json":
            point = content.get("point")
            nested = point if isinstance(point, dict) else {}
            for key, value in {**content, **nested}.items():
                if isinstance(value, str | int | float) and key not in _SKIPPED:
                    found[key] = value
        elif isinstance(content.get("points"), list):
            found["front_points"] = len(content["points"])
    return found, problems
