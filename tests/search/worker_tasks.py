"""Tasks for worker processes: what `spawn` runs has to live in a module."""

import os
import signal
import sys
import time

from spjax.search import workers


def echo(argument, report):
    report(("begun", argument))
    return argument, os.getpid()


def fail(argument, report):
    raise KeyError(f"no\n{argument}")


def unpicklable(argument, report):
    return lambda: argument


def kill_itself(argument, report):
    report("about to die")
    os.kill(os.getpid(), signal.SIGKILL)


def leave(argument, report):
    os._exit(argument)


def sleep(seconds, report):
    report(os.getpid())
    time.sleep(seconds)
    return "slept"


def environment(argument, report):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("XLA_FLAGS"), cores


def cores_at_start(path):
    with open(path, "w") as file:
        file.write(str(len(os.sched_getaffinity(0))))


def bad_initializer(text):
    raise RuntimeError(text)


def dying_initializer():
    os._exit(3)


def parent_of_sleepers():
    """Starts two workers, prints their process ids, then waits to be killed."""
    with workers.WorkerPool(2) as pool:
        pool.submit(0, sleep, 600)
        busy = pool.poll(60)
        while not busy:
            busy = pool.poll(60)
        print(*pool.process_ids, flush=True)
        time.sleep(600)


if __name__ == "__main__":
    sys.exit(parent_of_sleepers())
