"""A search as it is seen in the terminal: a progress bar and a line per trial."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spjax import report, search


class Display:
    """Shows a search's events; use as a context manager.

    Args:
      console: where to.
      trials: number of trials of the whole search.
      finished: trials that had ended before.
    """

    def __init__(self, console: Console, trials: int, finished: int) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            # Without a terminal there is nothing to redraw: the lines are enough.
            disable=not console.is_terminal,
        )
        self._total = self._progress.add_task(
            "trials", total=trials, completed=finished, note=""
        )
        self._running: dict[int, Any] = {}

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._running.values():
            self._progress.remove_task(task)
        self._progress.stop()

    def show(
        self,
        event: search.TrialEvent,
        header: Mapping[str, Any],
        limits: Mapping[str, float],
    ) -> None:
        """Shows one event.

        Args:
          event: what happened.
          header: facts of the run, for ``report``.
          limits: largest allowed value by figure.
        """
        if event.kind == "started":
            self._running[event.index] = self._progress.add_task(
                f"  trial {event.index}", total=None, note="compiling"
            )
        elif event.kind == "progress":
            seen = event.content
            self._progress.update(
                self._running[event.index],
                total=seen["epochs"],
                completed=seen["epoch"],
                note=f"epochs, error {seen['validation_error']:.1%}",
            )
        elif event.kind == "lost":
            self._end(event.index)
            self._console.print(
                f"{event.index:>4}  {event.content}; the trial is tried again",
                style="yellow",
                highlight=False,
            )
        elif event.kind in ("completed", "failed"):
            self._end(event.index)
            self._progress.advance(self._total)
            feasible = event.kind == "completed" and search.is_feasible(
                event.row, limits
            )
            line = report.trial_line({**event.row, "feasible": feasible}, header)
            self._console.print(line, soft_wrap=True)

    def _end(self, index: int) -> None:
        self._progress.remove_task(self._running.pop(index))
