"""``front.png``: error against model size, coloured by working memory.

A front of three objectives is shown on two axes and in colour. The step line is the
lower left boundary, in error and size alone, of the front points that fit the board:
the lowest error to be had at a size or less. A front point above the line is there
because it needs less working memory than those below it.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.patheffects as path_effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from spjax.report import figures, labels, style, words
from spjax.report.memory_bar import draw_memory_bar, in_sight

Rows = Sequence[Mapping[str, Any]]

_AXES = (0.085, 0.2, 0.765, 0.645)
_BAR = (0.876, 0.2, 0.02, 0.645)
_SIZE_WORDS = {
    "model_size_nonzero": "nonzero values at 1 byte, no indices",
    "model_size_encoded": "bytes in flash, indices counted",
    "model_size_dense": "all values at 1 byte, zeros too",
}


def plot_front(path: str | os.PathLike, rows: Rows, header: Mapping[str, Any]) -> None:
    """Writes the picture of the front as PNG, replacing the file in one step.

    Args:
      path: where the file goes.
      rows: all trials (see `spjax.report.figures`), failed ones too.
      header: facts of the run; names the memory and size models and the limits.

    Raises:
      ReportError: if the header names an unknown model or the file cannot be
        written.
    """
    style.save(front_figure(rows, header), path)


@style.quiet_glyphs()
def front_figure(rows: Rows, header: Mapping[str, Any]) -> Figure:
    """Returns the picture of the front as a figure; see `plot_front`."""
    done = figures.measured(rows, header)
    title = f"Pareto front on {words.task(header)}"
    if not done:
        return style.message(title, words.why_nothing(rows))
    figure = style.new_figure(8.4, 5.8)
    axes = figure.add_axes(_AXES)
    style.dress(axes)
    style.headline(
        axes, title, words.trial_counts(rows, header), words.pick_facts(done, header)
    )
    _scale(axes, done, header)
    shown = [row for row in done if row.get("on_front")] or done
    key = figures.memory_key(header)
    colour = draw_memory_bar(
        figure.add_axes(_BAR),
        key,
        np.array([row[key] for row in shown]),
        figures.limits(header).ram_bytes,
    )
    _draw_others(axes, done, header)
    _draw_step_line(axes, done, header)
    _draw_front(axes, done, header, colour)
    _draw_flash_limit(axes, done, header)
    _name_points(axes, done, header)
    _draw_legend(figure, axes)
    return figure


def step_line(points: np.ndarray) -> np.ndarray:
    """Returns the corners of the lower left boundary of points.

    Args:
      points: (n, 2) of (size, error), both better when smaller.

    Returns:
      (m, 2), size rising and error falling: the points that no other beats in both.
    """
    kept = []
    for size, error in sorted(map(tuple, points)):
        if not kept or error < kept[-1][1]:
            kept.append((size, error))
    return np.array(kept).reshape(-1, 2)


def _xy(rows: Rows, header: Mapping[str, Any]) -> np.ndarray:
    size = figures.size_key(header)
    # A network pruned to nothing has size 0, which a logarithm cannot show.
    pairs = [(max(r[size], 1), 100 * r["validation_error"]) for r in rows]
    return np.array(pairs, float).reshape(-1, 2)


def _scale(axes: Axes, done: Rows, header: Mapping[str, Any]) -> None:
    size = figures.size_key(header)
    xy = _xy(done, header)
    (low, bottom), (high, top) = xy.min(0), xy.max(0)
    flash = figures.limits(header).flash_bytes
    if flash is not None and in_sight(flash, low, high):
        low, high = min(low, flash), max(high, flash)
    style.scale_bytes(axes.xaxis, low, high)
    style.scale_percent(axes.yaxis, bottom, top)
    axes.set_ylabel("validation error (%)", color=style.INK, fontsize=10)
    axes.set_xlabel(
        f"model size (bytes; {_SIZE_WORDS[size]})",
        color=style.INK,
        fontsize=10,
        loc="left",
    )


def _draw_others(axes: Axes, done: Rows, header: Mapping[str, Any]) -> None:
    others = [row for row in done if not row.get("on_front")]
    for fits, marker, area, name in (
        (True, "o", 14, "other trial, fits"),
        (False, "x", 13, "other trial, over a limit"),
    ):
        xy = _xy([r for r in others if bool(r.get("feasible")) is fits], header)
        if len(xy):
            colour = {"color": style.GREY, "linewidths": 0 if fits else 1}
            axes.scatter(*xy.T, s=area, marker=marker, label=name, zorder=2, **colour)


def _draw_step_line(axes: Axes, done: Rows, header: Mapping[str, Any]) -> None:
    front = [row for row in done if row.get("on_front")]
    fitting = [row for row in front if row.get("feasible")]
    corners = step_line(_xy(fitting or front, header))
    if not len(corners):
        return
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    # To the edges: nothing smaller is known, and a larger model is no worse.
    path = [(corners[0][0], top), *corners, (right, corners[-1][1])]
    axes.step(
        *np.array(path).T,
        where="post",
        color=style.INK,
        linewidth=1.2,
        linestyle="-" if fitting else (0, (4, 3)),
        zorder=3,
        label="lowest error at this size"
        + (", fits" if fitting else ", over the limits"),
    )


def _draw_front(
    axes: Axes, done: Rows, header: Mapping[str, Any], colour: ScalarMappable
) -> None:
    key = figures.memory_key(header)
    pick = figures.choose_pick(done, header)
    front = [row for row in done if row.get("on_front") and row is not pick]
    fitting = [row for row in front if row.get("feasible")]
    over = [row for row in front if not row.get("feasible")]
    if fitting:
        shade = colour.to_rgba([row[key] for row in fitting])
        axes.scatter(
            *_xy(fitting, header).T,
            s=62,
            c=shade,
            edgecolors="white",
            linewidths=0.9,
            zorder=5,
            label="front, fits the board",
        )
    if over:
        shade = colour.to_rgba([row[key] for row in over])
        axes.scatter(
            *_xy(over, header).T,
            s=48,
            facecolors="white",
            edgecolors=shade,
            linewidths=1.8,
            zorder=4,
            label="front, over a limit",
        )
    if pick is not None:
        axes.scatter(
            *_xy([pick], header).T,
            s=330,
            marker="*",
            c=colour.to_rgba([pick[key]]),
            edgecolors=style.INK,
            linewidths=1.1,
            zorder=7,
            label="pick: lowest error that fits",
        )


def _draw_flash_limit(axes: Axes, done: Rows, header: Mapping[str, Any]) -> None:
    flash = figures.limits(header).flash_bytes
    if flash is None:
        return
    low, high = axes.get_xlim()
    if low <= flash <= high:
        axes.axvline(flash, color=style.LIMIT, lw=1.4, ls=(0, (5, 2)), zorder=1)
        text, place = f"flash limit {flash:,}", (flash, 1)
        transform = axes.get_xaxis_transform()
        # Words on the side with more room.
        at = axes.transAxes.inverted().transform(axes.transData.transform((flash, 1)))
        side, offset = ("right", (-4, -4)) if at[0] > 0.5 else ("left", (4, -4))
    else:
        beyond = flash > high
        text = f"flash limit {flash:,} {'→' if beyond else '←'}"
        place, transform = (1, 0), axes.transAxes
        side, offset = "right", (0, -23)
    axes.annotate(
        text,
        place,
        offset,
        xycoords=transform,
        textcoords="offset points",
        ha=side,
        va="top",
        fontsize=9,
        fontweight="bold",
        color=style.LIMIT,
    )


def _draw_legend(figure: Figure, axes: Axes) -> None:
    """Writes what the signs mean under the axes, the front first."""
    order = ("pick", "front, fits", "front, over", "lowest", "other trial, fits")
    entries = sorted(
        zip(*axes.get_legend_handles_labels(), strict=True),
        key=lambda entry: [not entry[1].startswith(name) for name in order],
    )
    legend = figure.legend(
        *zip(*entries, strict=True),
        loc="lower left",
        bbox_to_anchor=(_AXES[0] - 0.012, 0.005),
        ncols=3,
        fontsize=8.5,
        frameon=False,
        labelcolor=style.INK,
        handletextpad=0.5,
        columnspacing=2.4,
    )
    for handle in legend.legend_handles:
        if hasattr(handle, "set_sizes"):
            handle.set_sizes(np.minimum(handle.get_sizes(), 110))


def _name_points(axes: Axes, done: Rows, header: Mapping[str, Any]) -> None:
    """Writes beside the pick what it is, then trial numbers where there is room."""
    pick = figures.choose_pick(done, header)
    front = figures.front_of(done, header)
    obstacles = labels.boxes_around(axes, _xy(front, header), 5)
    obstacles += labels.boxes_around(
        axes, _xy([row for row in done if not row.get("on_front")], header), 2
    )
    for text in axes.texts:
        obstacles.append(text.get_window_extent())
    if pick is not None:
        error = f"{100 * pick['validation_error']:.2f} %"
        name = f"trial {figures.label_of(pick)}\n{error}"
        star = labels.boxes_around(axes, _xy([pick], header), 8)
        label = labels.place(
            axes,
            name,
            tuple(_xy([pick], header)[0]),
            [*obstacles, *star, *_line_boxes(axes)],
            distances=(10, 16, 24, 34, 46, 60, 80),
            fontsize=8.5,
            fontweight="bold",
            linespacing=1.25,
            color=style.INK,
            bbox={"fc": "white", "ec": "none", "pad": 1.5, "alpha": 0.8},
            arrowprops={"arrowstyle": "-", "color": style.FAINT, "lw": 0.7},
        )
        obstacles += [labels.text_box(label), *star]
    lines = _line_boxes(axes)
    halo = [path_effects.withStroke(linewidth=2.2, foreground="white")]
    for row in front:
        if row is pick:
            continue
        for in_the_way in ([*obstacles, *lines], obstacles):
            label = labels.place(
                axes,
                figures.label_of(row),
                tuple(_xy([row], header)[0]),
                in_the_way,
                distances=(7.5,),
                must_be_free=True,
                fontsize=7.5,
                color=style.INK,
                path_effects=halo,
            )
            if label is not None:
                break
        if label is not None:
            obstacles.append(labels.text_box(label))


def _line_boxes(axes: Axes) -> list:
    """Returns thin boxes along the step line, so that the pick's label keeps off."""
    lines = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    if not lines:
        return []
    x, y = (np.asarray(part, float) for part in lines[0].get_data())
    corners = np.stack([np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]], 1)
    pixels = axes.transData.transform(corners)
    return [
        labels.Bbox([np.minimum(a, b) - 1, np.maximum(a, b) + 1])
        for a, b in zip(pixels[:-1], pixels[1:], strict=True)
    ]
