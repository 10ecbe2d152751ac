"""``progress.png``: how the search got better, trial by trial.

Above, every trial's validation error in the order of the trials (of one that was
stopped early the predicted one), and the lowest among those that fit the board up to
there. Below, if the rows carry ``hypervolume``
(of the front of all trials up to that one, as the search computed it), its course.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spjax.report import figures, style, words

Rows = Sequence[Mapping[str, Any]]


def plot_progress(
    path: str | os.PathLike, rows: Rows, header: Mapping[str, Any]
) -> None:
    """Writes the picture of the search's progress, replacing the file in one step.

    Args:
      path: where the file (PNG) goes.
      rows: all trials, failed ones too.
      header: facts of the run.

    Raises:
      ReportError: if the header names an unknown model or the file cannot be
        written.
    """
    style.save(progress_figure(rows, header), path)


def progress_figure(rows: Rows, header: Mapping[str, Any]) -> Figure:
    """Returns the picture of the progress as a figure; see `plot_progress`."""
    done = figures.measured(rows, header)
    title = f"Search on {words.task(header)}"
    if not done:
        return style.message(title, words.why_nothing(rows))
    volumes = [row for row in done if figures.is_number(row.get("hypervolume"))]
    figure = style.new_figure(8.4, 5.8 if volumes else 4)
    panels = 2 if volumes else 1
    grid = figure.add_gridspec(
        panels,
        1,
        left=0.085,
        right=0.975,
        top=0.87 if volumes else 0.82,
        bottom=0.1 if volumes else 0.13,
        hspace=0.16,
        height_ratios=[3, 2][:panels],
    )
    last = max(row["index"] for row in rows)
    axes = figure.add_subplot(grid[0])
    style.dress(axes)
    _draw_errors(axes, rows, done, header, last)
    style.headline(axes, title, _counts(rows, done))
    bottom = axes
    if volumes:
        axes.tick_params(labelbottom=False)
        bottom = figure.add_subplot(grid[1], sharex=axes)
        style.dress(bottom)
        _draw_volumes(bottom, volumes, last)
    bottom.set_xlabel("trial", color=style.INK, fontsize=10)
    bottom.xaxis.set_major_locator(
        ticker.MaxNLocator(10, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    bottom.set_xlim(-0.02 * last - 0.6, 1.02 * last + 0.6)
    return figure


def lowest_so_far(done: Rows) -> list[tuple[int, float]]:
    """Returns each trial that lowered the error among those that fit, as it stood.

    Args:
      done: completed rows, by index.

    Returns:
      ``(index, validation_error)``, errors falling.
    """
    steps = []
    for row in done:
        error = row["validation_error"]
        if row.get("feasible") and (not steps or error < steps[-1][1]):
            steps.append((row["index"], error))
    return steps


def _draw_errors(
    axes: Axes, rows: Rows, done: Rows, header: Mapping[str, Any], last: int
) -> None:
    errors = [100 * row["validation_error"] for row in done]
    errors += [
        100 * row["predicted_error"]
        for row in rows
        if figures.is_number(row.get("predicted_error"))
    ]
    style.scale_percent(axes.yaxis, min(errors), max(errors))
    axes.set_ylabel("validation error (%)", color=style.INK, fontsize=10)
    for fits, marker, name in ((True, "o", "fits"), (False, "x", "over a limit")):
        kept = [row for row in done if bool(row.get("feasible")) is fits]
        if kept:
            axes.scatter(
                [row["index"] for row in kept],
                [100 * row["validation_error"] for row in kept],
                s=18,
                marker=marker,
                color=style.GREY,
                linewidths=0 if fits else 1.1,
                label=f"trial, {name}",
            )
    stopped = [r for r in rows if figures.is_number(r.get("predicted_error"))]
    if stopped:
        axes.scatter(
            [row["index"] for row in stopped],
            [100 * row["predicted_error"] for row in stopped],
            s=18,
            marker="o",
            facecolors="none",
            edgecolors=style.GREY,
            linewidths=0.9,
            label="stopped, predicted",
        )
    ended = ("completed", "stopped")
    lost = [row["index"] for row in rows if row.get("status") not in ended]
    if lost:
        axes.scatter(
            lost,
            np.full(len(lost), 0.985),
            s=22,
            marker="v",
            color=style.LIMIT,
            linewidths=0,
            transform=axes.get_xaxis_transform(),
            label="trial, failed",
            clip_on=False,
        )
    steps = lowest_so_far(done)
    if steps:
        index, error = zip(*[*steps, (last + 0.5, steps[-1][1])], strict=True)
        axes.step(
            index,
            100 * np.array(error),
            where="post",
            color=style.INK,
            linewidth=1.6,
            label="lowest so far, fits",
        )
        axes.annotate(
            f"{100 * steps[-1][1]:.2f} %",
            (1, 100 * steps[-1][1]),
            (0, -5),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=9,
            fontweight="bold",
            color=style.INK,
        )
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.01, 1.0),
        ncols=5,
        fontsize=8.5,
        frameon=False,
        labelcolor=style.INK,
        handletextpad=0.4,
        columnspacing=1.4,
    )


def _draw_volumes(axes: Axes, volumes: Rows, last: int) -> None:
    course = [(row["index"], row["hypervolume"]) for row in volumes]
    index, volume = zip(*course, (last + 0.5, course[-1][1]), strict=True)
    colour = style.MEMORY_MAP(0.5)
    axes.step(index, volume, where="post", color=colour, linewidth=1.6)
    axes.fill_between(index, volume, step="post", color=colour, alpha=0.12, lw=0)
    axes.set_ylim(0, 1.12 * max(max(volume), 1e-12))
    axes.set_ylabel("hypervolume", color=style.INK, fontsize=10)


def _counts(rows: Rows, done: Rows) -> str:
    rows, done = figures.trials_of(rows), figures.trials_of(done)
    return " · ".join(words.ends_of(rows, done))
