"""What each figure means, and where in a row and a header it stands.

A *row* is one trial, a plain dict::

    index int, status "completed"|"stopped"|"failed", reason str|None, genome_id str,
    genome dict, parent int|None, edit str, validation_error float in [0, 1],
    model_size_nonzero, model_size_dense, input_output, input_weights, live_bytes
    (int, bytes), macs int, sparsity float in [0, 1], feasible bool, seconds float,
    on_front bool; optionally test_error, planned_arena, hypervolume and others.

A *header* is what holds for the whole run, a plain dict::

    dataset {name, notes, split_sizes, seed, fingerprint},
    normalisation {mean, std}, board {name, ram_bytes, flash_bytes},
    memory_model, size_model "nonzero"|"dense", flags, versions, seed,
    started, finished

Only what a function uses must be there. A memory or size figure is never shown
without the name of its model.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spjax.report.errors import ReportError

MEMORY_MODELS = (
    "input_output",
    "input_weights",
    "live_bytes",
    "best_order",
    "planned_arena",
)
SIZE_MODELS = ("nonzero", "dense", "encoded")

MODELS = {
    "validation_error": "share of the validation images classified wrongly, 0 to 1",
    "test_error": "share of the test images classified wrongly, 0 to 1",
    "predicted_error": (
        "of a training that was stopped early: the validation error that it was "
        "expected to end with, 0 to 1; never a point of the front"
    ),
    "input_output": (
        "working memory in bytes: the largest sum, over the layers, of a layer's "
        "input and output activations at 1 byte per value; weights stay in flash"
    ),
    "input_weights": (
        "working memory in bytes: the largest sum, over the layers, of a layer's "
        "input activations and nonzero weights at 1 byte per value; weights sit in RAM"
    ),
    "live_bytes": (
        "working memory in bytes: the largest sum of all activations alive at one "
        "moment, in program order, at 1 byte per value; weights stay in flash"
    ),
    "best_order": (
        "working memory in bytes: as live_bytes, in the order of operations with the "
        "smallest peak, outputs in place of dying inputs where the operation allows it"
    ),
    "planned_arena": (
        "working memory in bytes: the length of the activation arena after every "
        "buffer has been given its place, outputs in place of dying inputs where the "
        "operation allows it; weights stay in flash"
    ),
    "model_size_nonzero": (
        "nonzero parameter values in bytes, 1 byte each; the indices that a sparse "
        "format adds are not counted"
    ),
    "model_size_dense": "all parameter values in bytes, zeros included, 1 byte each",
    "model_size_encoded": (
        "bytes in flash of all weights at int8 in the sparse formats chosen for them: "
        "values, indices, biases and requantisation constants counted, code not"
    ),
    "macs": "multiply-accumulate operations of one inference, zeros included",
    "sparsity": "share of the kernels' weights that are exactly zero, 0 to 1",
}


class Limits(NamedTuple):
    """A board's name and its limits in bytes; None where there is no limit."""

    name: str
    ram_bytes: int | None
    flash_bytes: int | None


class Excess(NamedTuple):
    """A limit that a trial breaks: the figure's name, its bytes and the limit's."""

    figure: str
    value: int
    limit: int

    def __str__(self) -> str:
        """Returns e.g. ``input_output > 2,048 B``."""
        return f"{self.figure} > {self.limit:,} B"


def memory_key(header: Mapping[str, Any]) -> str:
    """Returns the name of the working-memory model that the run minimised.

    Raises:
      ReportError: if the header names no model or an unknown one.
    """
    name = header.get("memory_model")
    if name not in MEMORY_MODELS:
        raise ReportError(
            f"memory_model is {name!r}; it must be one of {', '.join(MEMORY_MODELS)}"
        )
    return name


def size_key(header: Mapping[str, Any]) -> str:
    """Returns the row key of the size that the run minimised.

    Raises:
      ReportError: if the header names an unknown size model.
    """
    name = header.get("size_model", "nonzero")
    if name not in SIZE_MODELS:
        raise ReportError(
            f"size_model is {name!r}; it must be one of {', '.join(SIZE_MODELS)}"
        )
    return f"model_size_{name}"


def limits(header: Mapping[str, Any]) -> Limits:
    """Returns the board's name and limits; a header without a board has none."""
    board = header.get("board") or {}
    return Limits(
        str(board.get("name") or "no board"),
        board.get("ram_bytes"),
        board.get("flash_bytes"),
    )


def excesses(row: Mapping[str, Any], header: Mapping[str, Any]) -> tuple[Excess, ...]:
    """Returns the limits that a row breaks, memory before size."""
    _, ram_bytes, flash_bytes = limits(header)
    pairs = ((memory_key(header), ram_bytes), (size_key(header), flash_bytes))
    return tuple(
        Excess(key, row[key], limit)
        for key, limit in pairs
        if limit is not None and is_number(row.get(key)) and row[key] > limit
    )


def fit_text(row: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """Returns ``fits``, or which limits the row breaks."""
    if row.get("feasible"):
        return "fits"
    broken = "; ".join(str(excess) for excess in excesses(row, header))
    return f"over: {broken}" if broken else "does not fit"


def label_of(row: Mapping[str, Any]) -> str:
    """Returns what a row is called: its trial, and its reading if it is a further one.

    A trial's network may be read at several sparsities: ``7`` is the trial's own point,
    ``7-2`` its second further reading.
    """
    reading = row.get("reading")
    return f"{row['index']}-{reading}" if reading else str(row["index"])


def trials_of(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the rows that are trials, without further readings of their networks."""
    return [row for row in rows if not row.get("reading")]


def is_number(value: Any) -> bool:
    """Tells whether ``value`` is a finite number."""
    try:
        return value is not None and math.isfinite(value)
    except TypeError:
        return False


def measured(
    rows: Sequence[Mapping[str, Any]], header: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Returns the completed rows that have all three objectives, by index."""
    keys = ("validation_error", size_key(header), memory_key(header))
    kept = [
        row
        for row in rows
        if row.get("status") == "completed" and all(is_number(row.get(k)) for k in keys)
    ]
    return sorted(kept, key=lambda row: (row["index"], row.get("reading") or 0))


def front_of(
    rows: Sequence[Mapping[str, Any]], header: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Returns the rows on the front, from the lowest error to the highest."""
    keys = ("validation_error", memory_key(header), size_key(header), "index")
    front = [row for row in measured(rows, header) if row.get("on_front")]
    return sorted(front, key=lambda row: tuple(row[key] for key in keys))


def choose_pick(
    rows: Sequence[Mapping[str, Any]], header: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Returns the front row that fits the board with the lowest validation error.

    Ties go to the smaller working memory, then to the smaller model, then to the
    earlier trial. None if no row on the front fits.
    """
    return next((row for row in front_of(rows, header) if row.get("feasible")), None)
