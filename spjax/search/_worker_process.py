"""What runs inside one worker process; see `workers`.

It imports nothing heavy: the environment that decides how many threads numeric
libraries start has to be in force before they are loaded.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any


def main(
    connection: Connection,
    core: int | None,
    initializer: Callable[..., Any] | None,
    arguments: Sequence[Any],
) -> None:
    """Serves tasks from the connection until it closes.

    Args:
      connection: receives ``(task, function, argument)`` or None to stop; sends
        ``(kind, task, content)``.
      core: the one core to stay on while the libraries size their thread pools.
      initializer: called once, before the first task.
      arguments: the initializer's arguments.
    """
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    # Any failure to send means that the parent is gone.
    with contextlib.suppress(OSError):
        try:
            with _on_one_core(core):
                if initializer is not None:
                    initializer(*arguments)
        except BaseException as error:  # Reported: the parent raises it.
            connection.send(("broken", None, describe(error)))
            return
        connection.send(("ready", None, None))
        _serve(connection)


def _serve(connection: Connection) -> None:
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        if message is None:
            return
        task, function, argument = message

        def report(content: Any, task: int = task) -> None:
            connection.send(("progress", task, content))

        try:
            answer = ("result", task, function(argument, report))
        except OSError as error:
            answer = ("system", task, describe(error))
        except Exception as error:
            answer = ("error", task, describe(error))
        try:
            connection.send(answer)
        except (TypeError, ValueError, AttributeError) as error:  # Cannot be pickled.
            connection.send(("error", task, describe(error)))


def describe(error: BaseException) -> tuple[str, str]:
    """One line for people, and the whole traceback."""
    text = " ".join(str(error).split())
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line, "".join(traceback.format_exception(error))


def _exit_with_parent() -> None:
    """Ends this process as soon as the parent has died, however it died."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def _on_one_core(core: int | None):
    # XLA sizes its thread pool by the cores it may use when it starts. Afterwards the
    # process may move: two searches side by side would else share their first cores.
    if core is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {core})
        yield
    finally:
        os.sched_setaffinity(0, allowed)
