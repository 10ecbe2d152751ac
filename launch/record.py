"""What a sweep keeps on disk for each cell.

::

    root/NAME/run/        the experiment's own --run_dir
    root/NAME/log.txt     its output, all attempts one after another
    root/NAME/cell.json   command, settings and exit code, once an attempt has ended

``cell.json`` is replaced in one step, so a cell is either recorded or it is not; one
with exit code 0 is finished and is not run again.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator

from launch.errors import LaunchError
from launch.sweep import Cell


@dataclasses.dataclass(frozen=True)
class Record:
    """How the last attempt at a cell ended.

    Attributes:
      command: the words of the command.
      exit_code: 0 if it went well; negative if a signal killed it.
      seconds: how long it ran, by the wall clock.
    """

    command: tuple[str, ...]
    exit_code: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Folder:
    """The files of one cell under ``root``."""

    root: pathlib.Path
    cell: Cell

    @property
    def path(self) -> pathlib.Path:
        """The cell's folder."""
        return self.root / self.cell.name

    @property
    def run_dir(self) -> pathlib.Path:
        """What the experiment gets as ``--run_dir``."""
        return self.path / "run"

    @property
    def log(self) -> pathlib.Path:
        """The experiment's output."""
        return self.path / "log.txt"

    def write(self, record: Record) -> None:
        """Records how an attempt ended."""
        content = {
            "experiment": self.cell.experiment,
            "settings": dict(self.cell.settings),
            "extra": list(self.cell.extra),
            **dataclasses.asdict(record),
        }
        replace_text(self.path / "cell.json", json.dumps(content, indent=1) + "\n")

    def read(self) -> Record | None:
        """Returns how the last attempt ended, or None if none did."""
        try:
            content = json.loads((self.path / "cell.json").read_text())
            return Record(
                tuple(content["command"]), content["exit_code"], content["seconds"]
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LaunchError(
                f"{self.path / 'cell.json'} cannot be read ({error}); remove it and "
                "the cell is run again"
            ) from error

    def is_finished(self) -> bool:
        """Whether the cell need not be run again."""
        record = self.read()
        return record is not None and record.exit_code == 0

    def log_tail(self, lines: int = 15) -> str:
        """Returns the last lines of the log."""
        try:
            with open(self.log, "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 20_000))
                text = file.read().decode(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.rstrip().splitlines()[-lines:])


def finished_runs(root: pathlib.Path) -> list[tuple[dict[str, str], pathlib.Path]]:
    """Settings and run folder of the finished cells that ``root`` has, of any sweep.

    Raises:
      LaunchError: if a record there cannot be read.
    """
    found = []
    for path in sorted(root.glob("*/cell.json")):
        try:
            content = json.loads(path.read_text())
            if content["exit_code"] == 0:
                found.append((dict(content["settings"]), path.parent / "run"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LaunchError(
                f"{path} cannot be read ({error}); remove it or choose another folder"
            ) from error
    return found


def replace_text(path: pathlib.Path, text: str) -> None:
    """Writes a file in one step: it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=".", delete=False
    ) as file:
        try:
            file.write(text)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


@contextlib.contextmanager
def locked(root: pathlib.Path) -> Iterator[int]:
    """Holds ``root`` for one launch; yields the lock's file descriptor.

    Processes that inherit the descriptor hold the lock too: if the launcher itself is
    killed, its runs keep ``root`` until they end, and none is started twice.

    Raises:
      LaunchError: if another launch holds it, or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = open(root / ".lock", "a")  # noqa: SIM115
    except OSError as error:
        raise LaunchError(
            f"--root={root}: cannot be written ({error.strerror}); choose another"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LaunchError(
                f"--root={root}: another launch, or a run that it started, is still "
                "at work there; wait for it or choose another --root"
            ) from error
        yield file.fileno()
