"""Dominance, hypervolume and the choice for a board, all exact, all minimised.

A point a dominates b if a_k <= b_k for every objective k and a_k < b_k for one. The
Pareto set holds the points that none dominates; of equal points, all stay.

The hypervolume of a set against a reference point r is the volume of the union of the
boxes [a, r] over its points a (Zitzler and Thiele, 1999). It is computed by slicing:
between two neighbouring values of the last objective, the slab's cross-section is the
hypervolume, in one dimension less, of the points at or below it (While et al., "A
faster algorithm for calculating hypervolume", 2006).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spjax.search.readings import key_of

Row = Mapping[str, Any]


def non_dominated(points: np.ndarray) -> np.ndarray:
    """Tells which points no other point dominates.

    Args:
      points: [n, k] finite objective values, minimised.

    Returns:
      [n] bool.

    Raises:
      ValueError: if a value is NaN: it compares with nothing.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2:
        raise ValueError(f"points must be [n, k], not of shape {points.shape}")
    if np.isnan(points).any():
        raise ValueError("points hold NaN, which neither dominates nor is dominated")
    keep = np.ones(len(points), dtype=bool)
    for i, point in enumerate(points):
        # Only points still kept need a look: dominance is transitive.
        rivals = points[keep]
        no_worse = (rivals <= point).all(axis=1)
        keep[i] = not (no_worse & (rivals < point).any(axis=1)).any()
    return keep


def hypervolume(points: np.ndarray, reference: np.ndarray) -> float:
    """Returns the volume that the points dominate, bounded by the reference.

    Args:
      points: [n, k] objective values, minimised. Points that are not better than the
        reference in every objective add nothing.
      reference: [k].

    Returns:
      The exact volume, in the product of the objectives' units.

    Raises:
      ValueError: if the shapes do not match or a value is NaN.
    """
    points = np.asarray(points, dtype=np.float64)
    reference = np.asarray(reference, dtype=np.float64)
    if points.ndim != 2 or reference.shape != points.shape[1:]:
        raise ValueError(
            f"points must be [n, k] and reference [k], not of shapes "
            f"{points.shape} and {reference.shape}"
        )
    if np.isnan(points).any() or np.isnan(reference).any():
        raise ValueError("hypervolume of NaN is not defined")
    return _volume(points[(points < reference).all(axis=1)], reference)


def is_feasible(row: Row, limits: Mapping[str, float]) -> bool:
    """Tells whether a trial's figures are known and within all limits.

    Args:
      row: a trial.
      limits: largest allowed value by figure name, e.g. ``{"input_output": 2048}``.
    """
    return all(_is_number(row.get(k)) and row[k] <= v for k, v in limits.items())


def front(
    records: Sequence[Row],
    objectives: Sequence[str],
    limits: Mapping[str, float] | None = None,
) -> list[Row]:
    """Returns the completed trials that none dominates, by the first objective.

    Args:
      records: trials, as `Study.records` gives them.
      objectives: names of the figures that are minimised.
      limits: if given, trials beyond a limit are left out first.

    Returns:
      Rows of ``records``, sorted by the objectives in their order, then by index and
      reading.
    """
    rows = [
        row
        for row in records
        if row.get("status") == "completed"
        and all(_is_number(row.get(name)) for name in objectives)
        and is_feasible(row, limits or {})
    ]
    if not rows:
        return []
    keep = non_dominated(np.array([[row[name] for name in objectives] for row in rows]))
    kept = [row for row, stays in zip(rows, keep, strict=True) if stays]
    return sorted(kept, key=lambda row: (*(row[n] for n in objectives), key_of(row)))


def pick(
    records: Sequence[Row],
    memory_model: str,
    limits: Mapping[str, float],
    *,
    size: str = "model_size_nonzero",
) -> Row | None:
    """Chooses the network for a board.

    Args:
      records: trials.
      memory_model: name of the working-memory figure, e.g. ``input_output``.
      limits: the board's limits by figure name.
      size: name of the model-size figure.

    Returns:
      Of the trials within the limits, the one with the lowest validation error; ties
      go to the smaller working memory, then to the smaller size, then to the earlier
      trial. None if no completed trial is within the limits.
    """
    order = ("validation_error", memory_model, size)
    return next(iter(front(records, order, limits)), None)


def annotate(
    records: Sequence[Row], objectives: Sequence[str], limits: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Returns copies of the rows with ``feasible`` and ``on_front`` filled in.

    ``on_front`` is the front of the trials within the limits; if no trial is within
    them, it is the front of all.
    """
    best = front(records, objectives, limits) or front(records, objectives)
    chosen = {key_of(row) for row in best}
    return [
        {
            **row,
            "feasible": row.get("status") == "completed" and is_feasible(row, limits),
            "on_front": key_of(row) in chosen,
        }
        for row in records
    ]


def _volume(points: np.ndarray, reference: np.ndarray) -> float:
    if not len(points):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - points.min())
    if len(reference) == 2:
        return _area(points, reference)
    points = points[np.argsort(points[:, -1], kind="stable")]
    levels = np.append(points[:, -1], reference[-1])
    total = 0.0
    for i, height in enumerate(np.diff(levels), start=1):
        if height > 0:
            total += float(height) * _volume(points[:i, :-1], reference[:-1])
    return total


def _area(points: np.ndarray, reference: np.ndarray) -> float:
    """The slabs of two objectives at once: rectangles under the lowest so far."""
    across, up = points[np.argsort(points[:, 0], kind="stable")].T
    lowest = np.minimum.accumulate(up)
    before = np.concatenate([reference[1:], lowest[:-1]])
    return float((reference[0] - across) @ (before - lowest))


def _is_number(value: Any) -> bool:
    try:
        return value is not None and math.isfinite(value)
    except TypeError:
        return False
