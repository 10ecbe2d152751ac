"""``best.json``: the one network to take for the board, and why it is that one."""

import os
from collections.abc import Mapping
from typing import Any

from spjax.report import figures
from spjax.report.files import plain, write_json

SCHEMA = "spjax.best"
SCHEMA_VERSION = 1


def best_json(row: Mapping[str, Any] | None, header: Mapping[str, Any]) -> dict:
    """Returns the content of ``best.json``.

    Args:
      row: the pick (see `spjax.report.choose_pick`), or None if no trial fits.
      header: facts of the run.

    Returns:
      A dict of JSON's own types. ``point`` is the row, or null; ``reason`` says in
      one sentence why; ``header``, ``models`` and ``limits`` are as in front.json.
    """
    limits = figures.limits(header)
    memory, size = figures.memory_key(header), figures.size_key(header)
    bounds = _bounds(limits, memory, size)
    if row is None:
        reason = f"no trial on the front meets {bounds}"
    elif row.get("feasible"):
        reason = f"lowest validation error on the front among those within {bounds}"
    else:
        reason = f"does not meet {bounds}; {figures.fit_text(row, header)}"
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "point": plain(row),
        "feasible": bool(row is not None and row.get("feasible")),
        "reason": reason,
        "limits": {
            "board": limits.name,
            memory: plain(limits.ram_bytes),
            size: plain(limits.flash_bytes),
        },
        "models": dict(figures.MODELS),
        "header": plain(header),
    }


def write_best(
    path: str | os.PathLike, row: Mapping[str, Any] | None, header: Mapping[str, Any]
) -> None:
    """Writes ``best.json``, replacing the file in one step; see `best_json`.

    Raises:
      ReportError: if the row or header has no JSON form, or the file cannot be
        written.
    """
    write_json(path, best_json(row, header))


def _bounds(limits: figures.Limits, memory: str, size: str) -> str:
    parts = [
        f"{key} <= {value:,} B"
        for key, value in ((memory, limits.ram_bytes), (size, limits.flash_bytes))
        if value is not None
    ]
    if not parts:
        return "no limits (none were given)"
    return f"the limits of {limits.name} ({' and '.join(parts)})"
