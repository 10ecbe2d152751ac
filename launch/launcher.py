"""Where jobs run: one interface, and the launcher for this machine.

A cluster launcher is another class with the same three methods: ``submit`` hands a
command to a queue, ``poll`` asks for its exit code without waiting, ``cancel`` takes
it back. Schedules (``schedule.py``) know nothing else of it.
"""

import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
from collections.abc import Sequence
from typing import Any, Protocol


@dataclasses.dataclass(frozen=True)
class Job:
    """One command to run.

    Attributes:
      name: what a person calls it.
      command: its words.
      log: file that its output is appended to.
    """

    name: str
    command: tuple[str, ...]
    log: pathlib.Path


class Launcher(Protocol):
    """Runs jobs somewhere."""

    def submit(self, job: Job) -> Any:
        """Starts a job and returns a handle; does not wait."""

    def poll(self, handle: Any) -> int | None:
        """Returns the job's exit code, or None while it is queued or runs."""

    def cancel(self, handle: Any, force: bool = False) -> None:
        """Asks a job to stop as Ctrl-C would; with ``force`` it is killed.

        Does not wait: ``poll`` tells when it is gone. A job that has ended is left
        alone.
        """


class LocalLauncher:
    """Runs jobs as processes of this machine, each in a process group of its own.

    The group makes ``cancel`` reach a job's own worker processes too, and keeps the
    terminal's Ctrl-C from reaching jobs before the launcher has decided.
    """

    def __init__(self, inherit: Sequence[int] = ()):
        """Takes file descriptors that jobs inherit (see ``record.locked``)."""
        self._inherit = tuple(inherit)

    def submit(self, job: Job) -> subprocess.Popen:
        """Starts the job's process."""
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "ab") as log:
            log.write(f"$ {shlex.join(job.command)}\n".encode())
            log.flush()
            return subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Lines reach the log as they are printed, not at exit.
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                pass_fds=self._inherit,
                start_new_session=True,
            )

    def poll(self, handle: subprocess.Popen) -> int | None:
        """Returns the exit code, negative for a signal; None while it runs."""
        return handle.poll()

    def cancel(self, handle: subprocess.Popen, force: bool = False) -> None:
        """Sends SIGINT, or SIGKILL with ``force``, to the job's process group."""
        # A group outlives its leader while a worker is left: force takes those too.
        if handle.poll() is not None and not force:
            return
        try:
            os.killpg(handle.pid, signal.SIGKILL if force else signal.SIGINT)
        except ProcessLookupError:
            pass
