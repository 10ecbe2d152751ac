"""The memory timeline of a plan as a picture: bytes over steps, buffers as blocks."""

import os
from collections.abc import Sequence

from spjax.analysis.plan import Plan
from spjax.analysis.schedule import Task

_COLOURS = (
    "#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#76b7b2", "#edc948", "#9c755f",
    "#e15759", "#86bcb6", "#d4a6c8",
)  # fmt: skip
_SCRATCH = "#d9d9d9"


def draw_timeline(plan: Plan, path: str | os.PathLike, title: str = "") -> None:
    """Writes the timeline of a plan to an image file.

    One column per step (a task), one block per buffer at its offsets, from the step in
    which it is written to the last one that needs it. Where an output overlaps a dying
    input, both blocks show. A line marks the arena; a second one, the bytes alive.

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
    from matplotlib.patches import Rectangle

    steps = max(len(plan.steps), 1)
    figure = Figure(figsize=(min(3 + 0.6 * steps, 24), 5.5), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for i, (buffer, offset) in enumerate(zip(plan.buffers, plan.offsets, strict=True)):
        if not buffer.size:
            continue
        scratch = buffer.name.endswith("/scratch")
        width = buffer.last - buffer.first + 1
        axes.add_patch(
            Rectangle(
                (buffer.first, offset),
                width,
                buffer.size,
                facecolor=_SCRATCH if scratch else _COLOURS[i % len(_COLOURS)],
                edgecolor="black",
                linewidth=0.8,
                alpha=0.75,
                hatch="//" if scratch else None,
            )
        )
        if buffer.size > plan.planned_arena / 18:
            axes.text(
                buffer.first + width / 2,
                offset + buffer.size / 2,
                f"{buffer.name}\n{buffer.size}",
                ha="center",
                va="center",
                fontsize=7,
                clip_on=True,
            )
    alive = alive_bytes(plan)
    edges = [x for i in range(len(alive)) for x in (i, i + 1)]
    axes.plot(edges, [n for n in alive for _ in (0, 1)], color="black", linewidth=1.5,
              linestyle=":", label="bytes alive")  # fmt: skip
    axes.axhline(plan.planned_arena, color="#c00000", linewidth=1.2,
                 label=f"planned_arena = {plan.planned_arena} bytes")  # fmt: skip
    axes.set_xlim(0, steps)
    axes.set_ylim(0, max(plan.planned_arena, 1) * 1.08)
    axes.set_xticks([i + 0.5 for i in range(len(plan.steps))])
    names = [_label(task) for task in plan.steps]
    axes.set_xticklabels(names, rotation=60, ha="right", fontsize=7)
    axes.set_ylabel("bytes")
    axes.set_title(title or f"Memory plan, sharing = {plan.schedule.sharing}")
    axes.legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


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
