"""Runs jobs through a launcher, so many at a time."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from launch.launcher import Job, Launcher

_POLL_SECONDS = 0.1


def run_jobs(
    jobs: Sequence[Job],
    launcher: Launcher,
    parallel: int,
    *,
    on_start: Callable[[Job], None] = lambda job: None,
    on_end: Callable[[Job, int, float], None] = lambda job, code, seconds: None,
    grace_seconds: float = 15.0,
) -> dict[str, int]:
    """Runs all jobs, at most ``parallel`` at a time, in their order.

    A job that fails does not stop the others. On KeyboardInterrupt (or any error in a
    callback) the running jobs are asked to stop, killed if they still run after
    ``grace_seconds`` or a second Ctrl-C, and the exception goes on; their ``on_end``
    is not called.

    Args:
      jobs: what to run; names are distinct.
      launcher: where to run.
      parallel: how many at a time, 1 or more.
      on_start: called with a job as it starts.
      on_end: called with a job, its exit code and its seconds by the wall clock.
      grace_seconds: how long jobs get to stop by themselves.

    Returns:
      Exit code by job name.
    """
    waiting, codes = list(jobs), {}
    running: dict[str, tuple[Job, Any, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                job = waiting.pop(0)
                running[job.name] = (job, launcher.submit(job), time.monotonic())
                on_start(job)
            ended = {n: launcher.poll(h) for n, (_, h, _) in running.items()}
            for name, code in ended.items():
                if code is not None:
                    job, _, start = running.pop(name)
                    codes[name] = code
                    on_end(job, code, time.monotonic() - start)
            if None in ended.values():
                time.sleep(_POLL_SECONDS)
    except BaseException:
        _stop(launcher, [handle for _, handle, _ in running.values()], grace_seconds)
        raise
    return codes


def _stop(launcher: Launcher, handles: list[Any], grace_seconds: float) -> None:
    try:
        for handle in handles:
            launcher.cancel(handle)
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline:
            if all(launcher.poll(handle) is not None for handle in handles):
                break
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        pass  # a second Ctrl-C: no more waiting
    finally:
        for handle in handles:
            launcher.cancel(handle, force=True)
        for handle in handles:
            while launcher.poll(handle) is None:
                time.sleep(_POLL_SECONDS)
