"""The memory timeline of a plan as a picture: bytes over steps, buffers as blocks."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spjax.analysis.plan import Plan
from spjax.analysis.schedule import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (
    "#8cb3d9", "#f6b26b", "#93c47d", "#c9a6d9", "#7fc9c2", "#f2d675", "#c8a48c",
    "#ec9a9c", "#b3cf7f", "#a9a9d9",
)  # fmt: skip
_INPUT, _SCRATCH = "#bdbdbd", "#ffffff"
_STEP, _LEFT, _RIGHT = 0.62, 0.9, 0.2  # inches: a step, left and right of the axes
_TEXT = 7  # points
_LETTER, _LINE = 0.58 * _TEXT / 72, 1.25 * _TEXT / 72  # inches
_HEIGHT = 4.2  # inches of the blocks' panel


def draw_timeline(plan: Plan, path: str | os.PathLike, title: str = "") -> None:
    """Writes the timeline of a plan to an image file.

    One column per step (a task), one block per buffer at its offsets, from the step in
    which it is written to the last one that needs it. Where an output overlaps a dying
    input, both blocks show. A line marks the arena; the panel below has the bytes that
    are alive at each step, the fullest ones in dark.

    Args:
      plan: the plan.
      path: file to write; its suffix says the format (``.png``).
      title: above the picture.

    Raises:
      OSError: if the file cannot be written.
    """
    # Imported here: the analysis itself does not need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = max(len(plan.steps), 1)
    width = max(_LEFT + _STEP * steps + _RIGHT, 6.5)
    figure = Figure(figsize=(width, 7), dpi=120)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=_LEFT / width, right=1 - _RIGHT / width)
    above, below = figure.subplots(
        2, 1, sharex=True, height_ratios=(4, 1), gridspec_kw={"hspace": 0.06}
    )
    _draw_blocks(above, plan, (width - _LEFT - _RIGHT) / steps)
    above.axhline(plan.planned_arena, color="#c00000", linewidth=1.2)
    above.set_xlim(0, steps)
    above.set_ylim(0, max(plan.planned_arena, 1) * 1.04)
    above.set_ylabel("offset in bytes")
    figures = (
        f"planned_arena {plan.planned_arena:,} bytes (red),"
        f" lower_bound {plan.lower_bound:,}; sharing {plan.schedule.sharing}"
    )
    above.set_title(f"{title}\n{figures}" if title else figures, fontsize=10)
    alive = alive_bytes(plan)
    full = max(alive, default=0)
    colours = ["#404040" if n == full else "#9a9a9a" for n in alive]
    below.bar([i + 0.5 for i in range(len(alive))], alive, width=0.86, color=colours)
    below.set_ylim(0, max(full, 1) * 1.1)
    below.set_ylabel("bytes alive")
    below.set_xticks([i + 0.5 for i in range(len(plan.steps))])
    names = [_label(task) for task in plan.steps]
    below.set_xticklabels(names, rotation=50, ha="right", va="top", fontsize=_TEXT,
                          rotation_mode="anchor")  # fmt: skip
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="x", length=0)
    figure.savefig(path, bbox_inches="tight")


def _draw_blocks(axes: "Axes", plan: Plan, step: float) -> None:
    from matplotlib.patches import Rectangle

    buffers, inputs = plan.buffers, plan.schedule.program.inputs
    # Neighbours in time get different colours.
    born = sorted(range(len(buffers)), key=lambda i: (buffers[i].first, i))
    for rank, i in enumerate(born):
        buffer, offset = buffers[i], plan.offsets[i]
        if not buffer.size:
            continue
        scratch = buffer.name.endswith("/scratch")
        colour = _SCRATCH if scratch else _COLOURS[rank % len(_COLOURS)]
        axes.add_patch(
            Rectangle(
                (buffer.first, offset),
                buffer.last - buffer.first + 1,
                buffer.size,
                facecolor=_INPUT if buffer.name in inputs else colour,
                edgecolor="#303030",
                linewidth=0.7,
                alpha=0.8,
                hatch="///" if scratch else None,
            )
        )
        _write_label(axes, plan, i, step)


def _write_label(axes: "Axes", plan: Plan, i: int, step: float) -> None:
    """Name and bytes, where they fit and no other block is in the way."""
    buffer, offset = plan.buffers[i], plan.offsets[i]
    first, last = buffer.first, buffer.last
    for j, other in enumerate(plan.buffers):
        above = offset + buffer.size <= plan.offsets[j]
        if j == i or above or plan.offsets[j] + other.size <= offset:
            continue
        if other.last == first and other.first < first:
            first = min(first + 1, last)  # it still lies where this one begins
        elif other.first == last and other.last > last:
            last = max(last - 1, first)
    width = (last - first + 1) * step
    height = buffer.size / max(plan.planned_arena, 1) * _HEIGHT
    size = f"{buffer.size:,}"
    for text, turned in (
        (f"{buffer.name}\n{size}", False),
        (f"{buffer.name} {size}", False),
        (f"{buffer.name}\n{size}", True),
        (f"{buffer.name} {size}", True),
        (size, False),
    ):
        lines = text.split("\n")
        long, high = max(map(len, lines)) * _LETTER, len(lines) * _LINE
        if not turned and long <= width and high <= height:
            break
        if turned and long <= height and high <= width:
            break
    else:
        return
    scratch = buffer.name.endswith("/scratch")
    plain = {"facecolor": "white", "edgecolor": "none", "pad": 1} if scratch else None
    axes.text(
        (first + last + 1) / 2,
        offset + buffer.size / 2,
        text,
        ha="center",
        va="center",
        fontsize=_TEXT,
        rotation=90 if turned else 0,
        bbox=plain,
    )


def alive_bytes(plan: Plan) -> list[int]:
    """Bytes of the arena that some buffer occupies, at each step.

    Args:
      plan: the plan.

    Returns:
      One number per step; bytes that two overlapping buffers share count once.
    """
    result = []
    for step in range(len(plan.steps)):
        parts = [
            (offset, offset + buffer.size)
            for buffer, offset in zip(plan.buffers, plan.offsets, strict=True)
            if buffer.first <= step <= buffer.last and buffer.size
        ]
        result.append(_union(parts))
    return result


def _union(parts: Sequence[tuple[int, int]]) -> int:
    total = end = 0
    for low, high in sorted(parts):
        total += max(0, high - max(low, end))
        end = max(end, high)
    return total


def _label(task: Task) -> str:
    return task.name if task.mode == "whole" else f"{task.name} ({task.mode})"
