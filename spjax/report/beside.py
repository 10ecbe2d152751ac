"""Our networks beside published ones: error, model size and working memory.

A published network is dominated if ours has a lower error (mean over seeds) and is no
larger in either figure, the largest of its seeds.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from spjax.report import style
from spjax.report.errors import ReportError


@dataclasses.dataclass(frozen=True)
class Published:
    """A network that others published.

    Attributes:
      source: who.
      accuracy: share of test images right, 0 to 1.
      size_bytes: nonzero values, one byte each, indices not counted.
      memory_bytes: working memory.
    """

    source: str
    accuracy: float
    size_bytes: int
    memory_bytes: int


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network of ours, over several trainings.

    Attributes:
      label: its trial.
      seeds: number of trainings.
      accuracy, spread: mean and sample standard deviation of the share of test images
        right.
      size_bytes, memory_bytes: means, as in `Published`.
      most_size_bytes, most_memory_bytes: the largest of the trainings.
    """

    label: str
    seeds: int
    accuracy: float
    spread: float
    size_bytes: float
    memory_bytes: float
    most_size_bytes: int
    most_memory_bytes: int


Pair = tuple[Published, Trained | None]


def trained(
    label: str, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any],
    memory_model: str,
) -> Trained:  # fmt: skip
    """The network of a run of ``experiments.train``.

    Args:
      label: its trial in the search.
      rows: the run's trials.
      summary: the run's figures over its seeds, by name.
      memory_model: name of the working memory.

    Raises:
      ReportError: if the run has no test errors, or none of that memory.
    """
    try:
        error = summary["test_error"]
        return Trained(
            label=label,
            seeds=int(error["count"]),
            accuracy=1 - error["mean"],
            spread=error["standard_deviation"],
            size_bytes=summary["model_size_nonzero"]["mean"],
            memory_bytes=summary[memory_model]["mean"],
            most_size_bytes=max(int(r["model_size_nonzero"]) for r in rows),
            most_memory_bytes=max(int(r[memory_model]) for r in rows),
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise ReportError(
            f"the final training of {label} has no figures ({wrong!r}): delete its "
            "folder and run again"
        ) from wrong


def dominates(ours: Trained, theirs: Published) -> bool:
    """Whether ours is better in error and no worse in size and memory."""
    return (
        ours.accuracy > theirs.accuracy
        and ours.most_size_bytes <= theirs.size_bytes
        and ours.most_memory_bytes <= theirs.memory_bytes
    )


def beside_table(pairs: Sequence[Pair], memory_model: str) -> str:
    """A Markdown table: each published network, ours that is no larger, the verdict.

    Args:
      pairs: published networks, each with ours or None.
      memory_model: name of the working memory.
    """
    lines = [
        "| network | test accuracy % | `model_size_nonzero` B (indices not counted) | "
        f"`{memory_model}` B | dominates |",
        "|---|--:|--:|--:|---|",
    ]
    for theirs, ours in pairs:
        lines.append(
            f"| {theirs.source} | {100 * theirs.accuracy:.2f} | "
            f"{theirs.size_bytes:,} | {theirs.memory_bytes:,} | |"
        )
        if ours is None:
            lines.append("| none of ours is as small | | | | no |")
            continue
        verdict = "yes" if dominates(ours, theirs) else "no"
        lines.append(
            f"| ours: trial {ours.label}, {ours.seeds} seed(s) | "
            f"{100 * ours.accuracy:.2f} +- {100 * ours.spread:.2f} | "
            f"{ours.size_bytes:,.0f} | {ours.memory_bytes:,.0f} | {verdict} |"
        )
    return "\n".join(lines)


def plot_beside(
    path: str | os.PathLike, pairs: Sequence[Pair], dataset: str, memory_model: str
) -> None:
    """Draws test accuracy against model size and against working memory.

    Args:
      path: where the PNG goes.
      pairs: published networks, each with ours or None.
      dataset: its name.
      memory_model: name of the working memory.

    Raises:
      ReportError: if the file cannot be written.
    """
    figure, panels = style.two_panels()
    shown = (
        ("size_bytes", "nonzero values (B, indices not counted)"),
        ("memory_bytes", f"{memory_model} (B)"),
    )
    for axes, (figure_of, label) in zip(panels, shown, strict=True):
        for theirs, ours in pairs:
            place = getattr(theirs, figure_of), 100 * theirs.accuracy
            axes.plot(*place, "s", color=style.LIMIT, label="published")
            axes.annotate(
                theirs.source, place, xytext=(5, -11), textcoords="offset points",
                fontsize=8, color=style.LIMIT,
            )  # fmt: skip
            if ours is not None:
                place = getattr(ours, figure_of), 100 * ours.accuracy
                axes.errorbar(
                    *place, yerr=100 * ours.spread, fmt="o", color="C0", label="ours",
                    capsize=3,
                )  # fmt: skip
                axes.annotate(
                    ours.label, place, xytext=(5, 5), textcoords="offset points",
                    fontsize=8, color="C0",
                )  # fmt: skip
        axes.set_xlabel(label)
        axes.margins(x=0.3, y=0.12)  # Room for the labels.
        axes.set_xlim(left=0)
    axes = panels[0]
    axes.set_ylabel("test accuracy (%)")
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.legend(once.values(), once.keys(), frameon=False, fontsize=9)
    style.headline(axes, dataset, "mean and standard deviation over seeds")
    style.save(figure, path)
