"""Several points of the front from one trained network.

A trial trains one network and reads it at several thresholds: at the sparsity that its
genome asks for, which is the trial's own point and what the search learns from, and at
higher ones, without training (``spjax.training.read_at``). Each reading is a network of
its own: with its validation error, its size and, compacted, its working memory, and
with its genome, weights and masks in the trial's folder. The front is that of all
readings.
"""

from collections.abc import Iterable, Mapping
from typing import Any

# Shares of the trial's own remaining weights or channels that the readings leave.
KEPT_SHARES = (0.9, 0.8, 0.65)


def further_sparsities(sparsity: float) -> tuple[float, ...]:
    """Sparsities to read a network at, beside its own, rising.

    Args:
      sparsity: its own, in [0, 1).
    """
    return tuple(1 - share * (1 - sparsity) for share in KEPT_SHARES)


def spread(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each reading.

    Args:
      records: trials, as `Study.records` gives them; their ``readings``, if any, are
        a list of the figures of the further readings.

    Returns:
      The trials, in order, each with ``reading`` 0 and followed by its further readings
      from 1: the trial's row with the reading's figures in place of its own.
    """
    rows = []
    for record in records:
        rows.append({**record, "reading": 0})
        shared = {name: v for name, v in record.items() if name != "readings"}
        for number, figures in enumerate(record.get("readings") or (), start=1):
            rows.append({**shared, **figures, "reading": number})
    return rows


def key_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """What tells rows apart: the trial's number and that of the reading."""
    return row["index"], row.get("reading", 0)


def name_of(index: int, reading: int = 0) -> str:
    """Name of a point's folder and label: ``0007``, ``0007-2``."""
    return f"{index:04d}-{reading}" if reading else f"{index:04d}"
