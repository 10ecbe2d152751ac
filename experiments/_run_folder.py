"""A run's folder: whether it may be used, and the flags that its run was started with.

``run.json``, which the search room writes, keeps the flags that say what a run is; a
resumed run has the same ones. ``flags.json`` keeps all flags as they were given last:
those that say where and how may change from one resumption to the next.
"""

import pathlib
import shutil
from typing import Any

from absl import flags

from experiments import _cli
from spjax import report, search

FLAG_FILE = "flags.json"
# These may differ when a run is resumed: where and how, not what.
_FREE = (
    "trials",
    "workers",
    "run_dir",
    "resume",
    "data_dir",
    "download",
    "cache_dir",
    "time_budget",
    "patience",
    "live_report",
)
# What a run writes under names that a folder of the user's may hold too.
_WRITTEN = (
    "best.json",
    "cache",
    "data",
    "front",
    "front.json",
    "front.png",
    "progress.png",
    "report.html",
    "trials",
    "trials.csv",
    "warm_start",
)


def check_new(run_dir: str, advice: str = "choose another folder") -> None:
    """Checks that a folder may become that of a new run; it need not exist.

    Args:
      run_dir: the value of --run_dir.
      advice: what to do if it holds a run.

    Raises:
      UsageError: if it is no folder, or a run would overwrite what is in it.
    """
    if not run_dir:
        raise _cli.UsageError(
            "--run_dir= is empty: name a folder, or leave the flag out"
        )
    folder = pathlib.Path(run_dir)
    if folder.exists() and not folder.is_dir():
        raise _cli.UsageError(f"--run_dir={run_dir} is a file: name a folder")
    if search.exists(folder):
        raise _cli.UsageError(f"--run_dir={run_dir} holds a run already: {advice}")
    for name in _WRITTEN:
        if (folder / name).exists():
            raise _cli.UsageError(
                f"--run_dir={run_dir} holds {name}, which would be overwritten: choose "
                "another folder"
            )


def restore_flags(run_dir: str | None) -> bool:
    """Gives the flags the values that a run was started with.

    Args:
      run_dir: the value of --run_dir.

    Returns:
      Whether the run can be loaded; if not, it ended before it was set up whole, and
      is to be started anew.

    Raises:
      UsageError: if there is no such run, it is damaged, or a flag was given with
        another value than the run has.
    """
    if not run_dir:
        raise _cli.UsageError("--resume needs --run_dir=DIR, the run to go on with")
    whole = search.exists(run_dir)
    latest = _latest_flags(pathlib.Path(run_dir) / FLAG_FILE, whole)
    if not whole and not latest:
        raise _cli.UsageError(
            f"--run_dir={run_dir} holds no run to resume: leave --resume out to start "
            "one there"
        )
    fixed = _fixed_flags(run_dir) if whole else {}
    for name, value in {**latest, **fixed}.items():
        if name not in flags.FLAGS:
            raise _cli.UsageError(
                f"--run_dir={run_dir}: its run was started with the flag --{name}, "
                "which this version does not have: resume it with the version that "
                "started it"
            )
        flag = flags.FLAGS[name]
        if not flag.present:
            _set(flag, value, run_dir)
        elif name in fixed and flag.value != value:
            raise _cli.UsageError(
                f"--{name}={flag.value}: the run in {run_dir} was started with "
                f"{_show(name, value)}; leave the flag out, or choose another --run_dir"
            )
    return whole


def identity() -> dict[str, Any]:
    """The flags that say what a run is, for ``run.json``."""
    return {n: value for n, value in _cli.flag_values().items() if n not in _FREE}


def remember_flags(run_dir: pathlib.Path) -> None:
    """Writes ``flags.json``."""
    report.write_json(run_dir / FLAG_FILE, _cli.flag_values())


def take_back(run_dir: pathlib.Path) -> None:
    """Undoes the setting up of a run without trials: another may be started there."""
    (run_dir / search.RUN_FILE).unlink(missing_ok=True)
    shutil.rmtree(search.data_folder(run_dir), ignore_errors=True)
    shutil.rmtree(run_dir / "warm_start", ignore_errors=True)


def _latest_flags(path: pathlib.Path, whole: bool) -> dict[str, Any]:
    try:
        latest = dict(report.read_json(path))
    except (report.ReportError, TypeError, ValueError) as error:
        if whole:
            print(
                f"note: {_cli.one_line(error)}: --trials, --workers, --data_dir and "
                "--cache_dir are as given now, or their defaults"
            )
        return {}
    return {n: v for n, v in latest.items() if n in _FREE} if whole else latest


def _fixed_flags(run_dir: str) -> dict[str, Any]:
    try:
        return dict(search.read_run_file(run_dir)["config"]["flags"])
    except search.StudyError as error:
        raise _cli.UsageError(f"--run_dir={run_dir}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise _cli.UsageError(
            f"--run_dir={run_dir}: {search.RUN_FILE} there is damaged (no flags): "
            "choose another folder"
        ) from error


def _set(flag: flags.Flag, value: Any, run_dir: str) -> None:
    try:
        flag.value = None if value is None else flag.parser.parse(value)
    except (TypeError, ValueError) as error:
        raise _cli.UsageError(
            f"--run_dir={run_dir}: its run was started with --{flag.name}={value}, "
            f"which does not read ({error}): give another --{flag.name}, or choose "
            "another folder"
        ) from error


def _show(name: str, value: Any) -> str:
    return f"no --{name}" if value is None else f"--{name}={value}"
