"""How far a search has come, and whether it still gains: the stop rules.

The measure is the hypervolume of the trials so far, as a share of the box that the
guessing error and the limits span: 0 for nothing of use, 1 for a network without error,
size and memory.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spjax.search import pareto
from spjax.search.errors import SearchError
from spjax.search.settings import Settings

_GAIN = 1e-4


def hypervolumes(rows: Sequence[Mapping[str, Any]], settings: Settings) -> list[float]:
    """The hypervolume after every trial.

    Args:
      rows: trials as `Study.records` gives them, in the order in which they count;
        those that did not complete add nothing.
      settings: the search; objectives without a limit are bounded by the largest
        value among the rows.

    Returns:
      One share of the box per row, never falling.
    """
    reference = (settings.chance_error, *settings.objective_limits()[1:])
    return hypervolumes_within(rows, settings.objectives, reference)


def hypervolumes_within(
    rows: Sequence[Mapping[str, Any]],
    objectives: Sequence[str],
    reference: Sequence[float],
) -> list[float]:
    """The same as shares of any box.

    Args:
      rows: as for `hypervolumes`.
      objectives: names of the box's three sides.
      reference: their lengths; an infinite one stands for the largest value among
        the rows.

    Returns:
      One share of the box per row, never falling.
    """
    values = [
        [row[name] for name in objectives]
        for row in rows
        if row["status"] == "completed"
    ]
    if not values:
        return [0.0] * len(rows)
    largest = np.maximum(np.max(values, axis=0), 1.0)
    reference = np.where(np.isfinite(reference), reference, largest)
    front, result, volume = np.zeros((0, 3)), [], 0.0
    for row in rows:
        if row["status"] == "completed":
            point = np.array([[row[name] for name in objectives]], float)
            point = point / reference
            # What the front dominates adds nothing; most trials are of that kind.
            if not (front <= point).all(axis=1).any():
                front = np.vstack([front, point])
                front = front[pareto.non_dominated(front)]
                volume = pareto.hypervolume(front, np.ones(3))
        result.append(volume)
    return result


@dataclasses.dataclass(frozen=True)
class StopRule:
    """When a search proposes no more trials; those under way come to their end.

    Attributes:
      seconds: of this process's search; None for no limit.
      patience: ended trials in a row without a gain in hypervolume (of a ten
        thousandth of itself); None for no such rule.
    """

    seconds: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            raise SearchError(f"seconds = {self.seconds} must be above 0")
        if self.patience is not None and self.patience < 1:
            raise SearchError(f"patience = {self.patience} must be at least 1")

    def reason(
        self, rows: Sequence[Mapping[str, Any]], settings: Settings, started: float
    ) -> str | None:
        """Why the search is to end now; None if it is not.

        Args:
          rows: the trials so far; those under way are passed over.
          settings: the search.
          started: `time.monotonic` of the search's start.
        """
        if self.seconds is not None and time.monotonic() - started >= self.seconds:
            return f"the time budget of {self.seconds:,.0f} s is spent"
        if self.patience is not None:
            ended = [row for row in rows if row["status"] != "running"]
            if len(ended) > self.patience:
                volumes = hypervolumes(ended, settings)
                before = volumes[-1 - self.patience]
                if volumes[-1] <= before * (1 + _GAIN):
                    return (
                        f"the last {self.patience} trials brought no gain in "
                        "hypervolume"
                    )
        return None
