"""A pool of worker processes that survives the death of its workers.

Each worker is a fresh interpreter (spawn: no threads or locks are inherited) that
computes on one thread. The pool hands each at most one task at a time and turns all
that happens into events. It knows nothing of what the tasks are about.

A worker that dies (killed by hand, or by the system for want of memory) is noticed at
once, replaced, and its task is reported as ``lost``; what to do with the task is the
caller's decision. Workers ignore Ctrl-C, end when the pool closes, and end by
themselves when the parent process dies in any way.

Spawning imports the main module again, under another name: a program that uses a pool
must guard its entry by ``if __name__ == "__main__"`` and keep heavy imports out of its
top level.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any

from spjax.search import _worker_process
from spjax.search.errors import WorkerError

# Optimising for size takes a quarter off a short training, most of which is
# compilation, at the same time per step.
_EXTRA_OPTIONS = ("xla_cpu_optimize_for_size=true",)
# Without unrolled loops a network compiles in two thirds of the time, and a step takes
# a fifth longer: a gain where a training reads few pixels. At 40 million they are even.
_FEW_PIXELS = 30_000_000
_ROLLED = "xla_cpu_disable_loop_unrolling=true"
_STARTS_IN_VAIN = 3
_JOIN_SECONDS = 5.0


def worker_environment(pixels: int | None = None) -> dict[str, str]:
    """Variables for workers that each compute on one thread and compile quickly.

    Args:
      pixels: that one training reads, images times height times width times epochs;
        None for many.

    Returns:
      The variables.
    """
    extra = _EXTRA_OPTIONS
    if pixels is not None and pixels <= _FEW_PIXELS:
        extra = (*extra, _ROLLED)
    # XLA reads no option after the one without dashes.
    flags = (
        "--xla_cpu_multi_thread_eigen=false",
        f"--xla_backend_extra_options={','.join(extra)}",
        "intra_op_parallelism_threads=1",
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**dict.fromkeys(names, "1"), "XLA_FLAGS": " ".join(flags)}


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened to a task.

    Attributes:
      kind: ``progress`` (the task reported ``content``), ``result`` (it returned
        ``content``), ``error`` (it raised: ``content`` is one line, ``traceback`` the
        whole story), ``system`` (likewise, but an OSError: a full disk, say) or
        ``lost`` (its worker died; ``content`` says how).
      task: the number it was submitted under.
      content: see ``kind``.
      traceback: text; empty unless ``kind`` is ``error`` or ``system``.
    """

    kind: str
    task: int
    content: Any
    traceback: str = ""


@dataclasses.dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Any
    core: int | None
    task: int | None = None
    ready: bool = False


class WorkerPool:
    """Worker processes; use as a context manager.

    Args:
      count: number of workers, at least 1.
      initializer: module-level function called once in every worker.
      arguments: picklable arguments of the initializer.
      environment: variables set for the workers; those of `worker_environment` if not
        given.

    Raises:
      WorkerError: if ``count`` is not positive.
    """

    def __init__(
        self,
        count: int,
        initializer: Callable[..., Any] | None = None,
        arguments: Sequence[Any] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if count < 1:
            raise WorkerError(f"workers = {count}: at least 1 is needed")
        self._start_arguments = (initializer, tuple(arguments))
        if environment is None:
            environment = worker_environment()
        self._environment = environment
        self._context = multiprocessing.get_context("spawn")
        self._failed_starts = 0
        cores = _cores()
        self._workers: list[_Worker] = []
        try:
            for i in range(count):
                core = cores[i % len(cores)] if cores else None
                self._workers.append(self._start(core))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def idle(self) -> int:
        """Number of workers without a task."""
        return sum(worker.task is None for worker in self._workers)

    @property
    def running(self) -> tuple[int, ...]:
        """Numbers of the tasks that were submitted and have not ended."""
        return tuple(w.task for w in self._workers if w.task is not None)

    @property
    def process_ids(self) -> dict[int, int | None]:
        """The workers' process ids, each with the number of its task."""
        return {worker.process.pid: worker.task for worker in self._workers}

    def submit(self, task: int, function: Callable[..., Any], argument: Any) -> None:
        """Gives a task to an idle worker.

        Args:
          task: a number of the caller's, unique among the running tasks.
          function: module-level function, called as ``function(argument, report)``;
            ``report(content)`` sends a ``progress`` event.
          argument: picklable.

        Raises:
          WorkerError: if all workers are busy, or the task's number is taken.
        """
        if task in self.running:
            raise WorkerError(f"task {task} is running already")
        worker = next((w for w in self._workers if w.task is None), None)
        if worker is None:
            raise WorkerError(f"task {task}: all {len(self._workers)} workers are busy")
        worker.task = task
        # A worker that died just now is found by `poll`, which reports the task lost.
        with contextlib.suppress(OSError):
            worker.connection.send((task, function, argument))

    def poll(self, timeout: float | None = None) -> list[Event]:
        """Waits for events.

        Args:
          timeout: longest wait in seconds; None for no limit.

        Returns:
          What happened, in order per task; empty after ``timeout``.

        Raises:
          WorkerError: if a worker's initializer fails, or workers die again and again
            before they are ready.
        """
        waitables = [w.connection for w in self._workers]
        waitables += [w.process.sentinel for w in self._workers]
        signalled = set(wait(waitables, timeout))
        events: list[Event] = []
        for slot, worker in enumerate(self._workers):
            alive = self._drain(worker, events)
            if not alive or worker.process.sentinel in signalled:
                # What it sent before it died comes first.
                self._drain(worker, events)
                self._workers[slot] = self._replace(worker, events)
        return events

    def close(self) -> None:
        """Ends all workers, tasks or no tasks; safe to call twice."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join(_JOIN_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
            worker.process.close()

    def _start(self, core: int | None) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_worker_process.main,
            args=(theirs, core, *self._start_arguments),
            name="spjax-worker",
            daemon=True,
        )
        try:
            with _environment(self._environment), _interrupts_ignored():
                process.start()
        except OSError as error:
            raise WorkerError(f"cannot start a worker process: {error}") from error
        # Only the child holds its end now: its death closes the connection.
        theirs.close()
        return _Worker(process, ours, core)

    def _drain(self, worker: _Worker, events: list[Event]) -> bool:
        """Receives all that waits; False once the connection is closed."""
        try:
            while worker.connection.poll():
                kind, task, content = worker.connection.recv()
                if kind == "ready":
                    worker.ready, self._failed_starts = True, 0
                elif kind == "broken":
                    line, traceback = content
                    broken = WorkerError(f"a worker process cannot start: {line}")
                    broken.add_note(traceback)
                    raise broken
                elif kind in ("error", "system"):
                    worker.task = None
                    events.append(Event(kind, task, *content))
                else:
                    worker.task = None if kind == "result" else worker.task
                    events.append(Event(kind, task, content))
        except (EOFError, OSError):
            return False
        return True

    def _replace(self, worker: _Worker, events: list[Event]) -> _Worker:
        worker.process.join(_JOIN_SECONDS)
        how = _how(worker.process.exitcode)
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        self._failed_starts += not worker.ready
        if self._failed_starts >= _STARTS_IN_VAIN:
            raise WorkerError(
                f"worker processes end before they are ready ({how}), "
                f"{self._failed_starts} times in a row"
            )
        if worker.task is not None:
            events.append(Event("lost", worker.task, f"its worker process {how}"))
        return self._start(worker.core)


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "closed its connection"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables for the processes started inside; the user's XLA_FLAGS stay."""
    before = {name: os.environ.get(name) for name in variables}
    flags = before.get("XLA_FLAGS")
    try:
        os.environ.update(variables)
        if flags:
            os.environ["XLA_FLAGS"] = f"{flags} {variables['XLA_FLAGS']}"
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Started inside, a process ignores Ctrl-C from its first instruction."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
