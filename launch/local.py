r"""Runs the product of flag values over an experiment, on this machine.

    python -m launch.local --experiment=experiments.search \
        --sweep='dataset=digits,mnist;seed=0,1,2' --root=runs/sweep --parallel=2 \
        -- --trials=30

Each combination of values is a cell with a folder of its own under --root. A cell that
has finished is not run again; one that failed, or that Ctrl-C stopped, is taken up
again by the same command (with --resume if the experiment has that flag). Other values
or other flags after -- make other cells. --dry_run prints the commands alone.

At the end one table of all results is printed and written to results.csv and
results.md under --root. Exit code: 0 if all cells finished, 1 if one failed, 2 for a
mistake in the flags, 130 after Ctrl-C.
"""

import importlib.util
import pathlib
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence

from absl import app, flags
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from launch import table
from launch.errors import LaunchError
from launch.launcher import Job, LocalLauncher
from launch.record import Folder, Record, locked, replace_text
from launch.schedule import run_jobs
from launch.sweep import make_cells

_EXPERIMENT = flags.DEFINE_string(
    "experiment", "experiments.search", "Module to run with python -m."
)
_SWEEP = flags.DEFINE_string(
    "sweep", None, "Flag values: 'dataset=digits,mnist;seed=0,1,2'."
)
_ROOT = flags.DEFINE_string("root", "runs/sweep", "Folder for the cells' folders.")
_PARALLEL = flags.DEFINE_integer("parallel", 1, "How many cells run at a time.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the commands; run nothing.")
_DEBUG = flags.DEFINE_bool("debug", False, "Show the traceback of an error.")


def launch(
    experiment: str,
    sweep: str,
    root: pathlib.Path,
    parallel: int,
    extra: Sequence[str],
    dry_run: bool = False,
    console: Console | None = None,
) -> int:
    """Runs a sweep; see the module. Returns the exit code, 0 or 1.

    Raises:
      LaunchError: for a mistake in an argument.
    """
    console = console or Console()
    if parallel < 1:
        raise LaunchError(f"--parallel={parallel}: must be 1 or more")
    _require_module(experiment)
    cells = make_cells(sweep, experiment, extra)
    folders = [Folder(root, cell) for cell in cells]
    if dry_run:
        for folder in folders:
            done = "# finished: " if folder.is_finished() else ""
            command = folder.cell.command(sys.executable, str(folder.run_dir))
            print(done + shlex.join(command))
        return 0
    with locked(root) as lock:
        todo = [folder for folder in folders if not folder.is_finished()]
        if len(todo) < len(folders):
            console.print(
                f"{len(folders) - len(todo)} of {len(folders)} cells are finished "
                "and not run again",
                highlight=False,
            )
        try:
            _run(todo, parallel, lock, console)
        finally:
            rows = table.collect(folders)
            _write(root, folders, rows)
        _show(root, folders, rows, console)
        return _report_failures(folders, console)


def _run(todo: list[Folder], parallel: int, lock: int, console: Console) -> None:
    """Runs the cells that are left, with a progress bar."""
    if not todo:
        return
    jobs = _jobs(todo)
    folder_of = {folder.cell.name: folder for folder in todo}
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("cells", total=len(jobs))

        def on_end(job: Job, code: int, seconds: float) -> None:
            folder_of[job.name].write(Record(job.command, code, seconds))
            how = "finished" if code == 0 else f"FAILED (exit code {code})"
            line = f"{job.name}: {how} in {seconds:.0f} s"
            progress.console.print(line, highlight=False, markup=False)
            progress.advance(task)

        run_jobs(jobs, LocalLauncher(inherit=[lock]), parallel, on_end=on_end)


def _jobs(todo: list[Folder]) -> list[Job]:
    """Prepares the cells' folders; a cell that was begun before is resumed."""
    resumable: dict[str, bool] = {}
    jobs = []
    for folder in todo:
        experiment = folder.cell.experiment
        more = []
        if folder.run_dir.is_dir() and any(folder.run_dir.iterdir()):
            if experiment not in resumable:
                resumable[experiment] = _knows_resume(experiment)
            if resumable[experiment]:
                more = ["--resume"]
            else:
                _set_aside(folder.run_dir)
        command = folder.cell.command(sys.executable, str(folder.run_dir), more)
        jobs.append(Job(folder.cell.name, command, folder.log))
    return jobs


def _knows_resume(experiment: str) -> bool:
    """Asks the experiment itself whether it has a flag --resume."""
    command = [sys.executable, "-m", experiment, "--helpfull"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return re.search(r"--(\[no\])?resume\b", done.stdout) is not None


def _set_aside(run_dir: pathlib.Path) -> None:
    """Renames a run folder that cannot be resumed; nothing is deleted."""
    number = 1
    while (aside := run_dir.with_name(f"{run_dir.name}.old{number}")).exists():
        number += 1
    run_dir.rename(aside)


def _write(root: pathlib.Path, folders: list[Folder], rows: list[table.Row]) -> None:
    replace_text(root / "results.csv", table.to_csv(rows))
    markdown = table.to_markdown(rows, table.shown_columns(folders, rows))
    replace_text(root / "results.md", markdown)


def _show(
    root: pathlib.Path, folders: list[Folder], rows: list[table.Row], console: Console
) -> None:
    # The files have the long name too.
    shown = [k for k in table.shown_columns(folders, rows) if k != "genome_id"]
    lines = [[table.text(row.get(key)) for key in shown] for row in rows]
    printed = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, key in enumerate(shown):
        # Heads give way, figures never do.
        widest = max((cell_len(line[place]) for line in lines), default=0)
        head = escape(key.replace("_", " "))
        printed.add_column(head, overflow="fold", min_width=widest)
    for line in lines:
        printed.add_row(*map(escape, line))
    console.print(printed)
    console.print(f"wrote {root / 'results.csv'} and results.md", highlight=False)


def _report_failures(folders: list[Folder], console: Console) -> int:
    failed = [folder for folder in folders if not folder.is_finished()]
    for folder in failed:
        console.print(
            f"\n{folder.cell.name} failed; the end of {folder.log}:\n"
            f"{folder.log_tail()}",
            highlight=False,
            markup=False,
        )
    if failed:
        console.print(
            f"\n{len(failed)} of {len(folders)} cells failed; the same command tries "
            "them again",
            highlight=False,
        )
    return 1 if failed else 0


def _require_module(experiment: str) -> None:
    try:
        found = importlib.util.find_spec(experiment)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise LaunchError(
            f"--experiment={experiment}: no such module; name one such as "
            "experiments.search, and start from the folder that holds it"
        )


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str]) -> None:
    """Turns flags into ``launch`` and errors into one line."""
    # What a batch system or a closed terminal sends means the same as Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _raise_interrupt)
    try:
        if _SWEEP.value is None:
            raise LaunchError("--sweep is missing; for instance --sweep='seed=0,1,2'")
        code = launch(
            _EXPERIMENT.value,
            _SWEEP.value,
            pathlib.Path(_ROOT.value),
            _PARALLEL.value,
            argv[1:],
            _DRY_RUN.value,
        )
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        code = 130
    except (LaunchError, OSError) as error:
        if _DEBUG.value:
            raise
        print(f"error: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print(
            f"error: {error} (flags for the experiment stand after --)",
            file=sys.stderr,
        )
        sys.exit(2)
    except SystemExit:
        # absl shows --help and leaves with 1, though all is well.
        sys.exit(0)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
