"""Several searches by several algorithms: how good each was after so many trials.

A run's course is the hypervolume after each of its trials. Over the seeds of one
algorithm, at each trial::

    median, mean,    mean -+ t s / sqrt(n)     95 % confidence interval of the mean

with s the sample standard deviation and t Student's quantile for n - 1 degrees of
freedom. Runs are only compared up to the shortest of them.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from spjax.report import style
from spjax.report.errors import ReportError

_CONFIDENCE = 0.95
_POINTS = 200


@dataclasses.dataclass(frozen=True)
class Course:
    """One run.

    Attributes:
      volumes: hypervolume after each trial, never falling.
      seconds: wall time since the run's start at which each trial ended, rising.
    """

    volumes: np.ndarray
    seconds: np.ndarray

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Hypervolume at points in time; 0 before the first trial ended."""
        ended = np.searchsorted(self.seconds, seconds, side="right")
        return np.concatenate([[0.0], self.volumes])[ended]


@dataclasses.dataclass(frozen=True)
class Band:
    """Several runs at the same places.

    Attributes:
      places: [p] trials, or seconds.
      median, mean, low, high: [p]; the last two bound the mean's interval.
    """

    places: np.ndarray
    median: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def course(rows: Sequence[Mapping[str, Any]]) -> Course:
    """Reads a run's course from its trials.

    Args:
      rows: as ``trials.csv`` has them, with ``hypervolume`` and ``elapsed``; several
        rows of one trial (readings) count as one.

    Raises:
      ReportError: if there is none, or a row lacks one of the two.
    """
    if not rows:
        raise ReportError("a run without trials has no course")
    by_trial: dict[int, tuple[float, float]] = {}
    for row in rows:
        for key in ("hypervolume", "elapsed"):
            if not isinstance(row.get(key), int | float):
                raise ReportError(f"trial {row.get('index')} has no {key}")
        before = by_trial.get(row["index"], (0.0, 0.0))
        by_trial[row["index"]] = (
            max(before[0], row["hypervolume"]),
            max(before[1], row["elapsed"]),
        )
    pairs = np.array([by_trial[index] for index in sorted(by_trial)])
    seconds = np.sort(pairs[:, 1])
    # Trials end in another order than they were numbered: none counts too early.
    return Course(np.maximum.accumulate(pairs[:, 0]), seconds)


def by_trials(courses: Sequence[Course]) -> Band:
    """The band over trials, up to the shortest run."""
    count = min(len(c.volumes) for c in courses)
    values = np.stack([c.volumes[:count] for c in courses])
    return _band(np.arange(1, count + 1), values)


def by_seconds(courses: Sequence[Course]) -> Band:
    """The band over wall time, up to the end of the shortest run."""
    places = np.linspace(0, min(c.seconds[-1] for c in courses), _POINTS)
    return _band(places, np.stack([c.at(places) for c in courses]))


def _band(places: np.ndarray, values: np.ndarray) -> Band:
    count = len(values)
    mean = values.mean(axis=0)
    if count > 1:
        spread = values.std(axis=0, ddof=1) / np.sqrt(count)
        reach = stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1) * spread
    else:
        reach = np.full(len(places), np.nan)  # One run says nothing of the spread.
    return Band(places, np.median(values, axis=0), mean, mean - reach, mean + reach)


def comparison_table(courses: Mapping[str, Sequence[Course]]) -> str:
    """A Markdown table: each algorithm's final hypervolume, best median first.

    The last column but one is how far the best median lies above an algorithm's.

    Args:
      courses: runs by algorithm.
    """
    count = min(len(c.volumes) for runs in courses.values() for c in runs)
    end = count - 1
    bands = {name: by_trials(runs) for name, runs in courses.items()}
    best = max(band.median[end] for band in bands.values())
    lines = []
    for name, runs in courses.items():
        band, median = bands[name], bands[name].median[end]
        minutes = np.median([c.seconds[end] for c in runs]) / 60
        interval = (
            f"[{band.low[end]:.4f}, {band.high[end]:.4f}]" if len(runs) > 1 else "-"
        )
        above = f"{best / median - 1:+.1%}" if median else "-"
        lines.append(
            (
                -median,
                f"| {name} | {len(runs)} | {median:.4f} | "
                f"{band.mean[end]:.4f} | {interval} | {above} | {minutes:.1f} |",
            )
        )
    head = (
        f"| algorithm | seeds | median hypervolume after {count} trials | mean | "
        "95 % interval of the mean | best median above it | median wall minutes |\n"
        "|---|--:|--:|--:|--:|--:|--:|"
    )
    return "\n".join([head, *(line for _, line in sorted(lines))])


def plot_comparison(
    path: str | os.PathLike, courses: Mapping[str, Sequence[Course]], title: str
) -> None:
    """Draws hypervolume against trials and against wall time, one band an algorithm.

    Args:
      path: where the PNG goes.
      courses: runs by algorithm.
      title: what was searched.

    Raises:
      ReportError: if the file cannot be written.
    """
    figure, panels = style.two_panels()
    shown = (by_trials, 1, "trials"), (by_seconds, 60, "wall time (minutes)")
    for axes, (band_of, unit, label) in zip(panels, shown, strict=True):
        for number, (name, runs) in enumerate(courses.items()):
            band = band_of(runs)
            places = band.places / unit
            colour = f"C{number}"
            axes.plot(places, band.mean, color=colour, label=name, linewidth=1.6)
            axes.fill_between(
                places, band.low, band.high, color=colour, alpha=0.15, linewidth=0
            )
        axes.set_xlabel(label)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("hypervolume (share of the box of the limits)")
    panels[0].legend(frameon=False, fontsize=9, loc="lower right")
    seeds = "-".join(map(str, sorted({len(runs) for runs in courses.values()})))
    style.headline(
        panels[0], title,
        f"mean of {seeds} seeds, 95 % confidence interval of the mean",
    )  # fmt: skip
    style.save(figure, path)
