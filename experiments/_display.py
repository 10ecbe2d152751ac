"""A search as it is seen in the terminal: what it is, how it goes, what it found."""

import contextlib
import pathlib
import shlex
import sys
from collections.abc import Mapping, Sequence
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
from rich.text import Text

from experiments import _flags
from spjax import data, deploy, report, search

_FILE_WIDTH = 140


def make_console() -> Console:
    """Standard output; a file's lines are not cut to the width of a terminal."""
    return Console() if sys.stdout.isatty() else Console(width=_FILE_WIDTH)


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
                markup=False,
            )
        elif event.kind in ("completed", "stopped", "failed"):
            self._end(event.index)
            self._progress.advance(self._total)
            feasible = event.kind == "completed" and search.is_feasible(
                event.row, limits
            )
            line = report.trial_line({**event.row, "feasible": feasible}, header)
            self._say_trial(line, whole=event.kind == "failed")

    def _say_trial(self, line: Text, whole: bool) -> None:
        if not self._console.is_terminal:
            self._console.print(line, soft_wrap=True)
        elif whole:
            self._console.print(line)
        else:
            # What a narrow terminal cuts off is least worth knowing.
            self._console.print(line, no_wrap=True, overflow="ellipsis")

    def _end(self, index: int) -> None:
        self._progress.remove_task(self._running.pop(index))


def say(console: Console, text: str) -> None:
    """Prints a line as it is: no markup, no colours, in a file not folded."""
    console.print(
        text, highlight=False, markup=False, soft_wrap=not console.is_terminal
    )


def say_whole(console: Console, text: str) -> None:
    """Prints a line that a person may copy: never folded."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


_NOT_COUNTED = {"nonzero": "sparse indices, ", "dense": "", "encoded": ""}
_INDICES = {
    "model_size_nonzero": "indices not counted",
    "model_size_dense": "zeros counted, no indices",
    "model_size_encoded": "indices counted",
}


def say_what(
    console: Console,
    dataset: data.Dataset,
    board: deploy.Board,
    memory_model: str,
    size_model: str,
    plan: str,
) -> None:
    """Says what is about to be searched."""
    sizes = dataset.describe()["sizes"]
    shape = "x".join(map(str, dataset.input_shape))
    say(
        console,
        f"data   {dataset.name}: {shape}, {dataset.num_classes} classes, "
        f"{sizes['train']:,} training, {sizes['validation']:,} validation, "
        f"{sizes['test']:,} test images",
    )
    say(
        console,
        f"board  {board.name}: {memory_model} <= {board.ram_bytes:,} bytes, "
        f"model_size_{size_model} <= {board.flash_bytes:,} bytes "
        f"({_NOT_COUNTED[size_model]}code and stack not counted)",
    )
    say(console, f"search {plan}")


def say_how_to_resume(
    console: Console, run_dir: pathlib.Path, finished: int, why: str
) -> None:
    """Says, after a search that did not end by itself, how it goes on."""
    command = _command("experiments.search", f"--run_dir={run_dir}", "--resume")
    say_whole(
        console, f"{why}: {finished} trial(s) are stored; go on with\n  {command}"
    )


def say_where(console: Console, run_dir: pathlib.Path) -> None:
    """Says which files the results are in."""
    for name in ("front.png", "report.html", "front.json", "best.json", "trials.csv"):
        say_whole(console, f"wrote  {run_dir / name}")


def say_results(
    console: Console,
    run_dir: pathlib.Path,
    rows: Sequence[Mapping[str, Any]],
    pick: Mapping[str, Any] | None,
    header: Mapping[str, Any],
) -> None:
    """Says what a search found: the front, the pick, the files and what to do next."""
    console.print()
    console.print(report.front_table(rows, header, width=console.width))
    if pick is not None and pick["feasible"]:
        memory, size = header["memory_model"], report.size_key(header)
        say(
            console,
            f"pick   trial {report.label_of(pick)}: validation error "
            f"{pick['validation_error']:.2%}, test error {pick['test_error']:.2%}, "
            f"{size} {pick[size]:,} bytes "
            f"({_INDICES[size]}), {memory} {pick[memory]:,} bytes",
        )
        genome = search.trial_folder(run_dir, pick["index"]) / "genome.json"
        given = [*_flags.data_arguments(), *_flags.board_arguments()]
        command = _command("experiments.train", f"--genome={genome}", *given)
        say_whole(console, f"next   {command}")
    say_where(console, run_dir)


def _command(module: str, *arguments: str) -> str:
    """A shell command that runs a program of ours with this Python."""
    python = pathlib.Path(sys.executable)
    with contextlib.suppress(ValueError):
        python = python.relative_to(pathlib.Path.cwd())
    return shlex.join([str(python), "-m", module, *arguments])
