import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from spjax.search import workers
from spjax.search.errors import WorkerError
from tests.search import worker_tasks as tasks

_PATIENCE = 60.0  # Seconds; far more than any of this takes.


def _until(pool, condition):
    """Events up to the first that meets the condition."""
    events, end = [], time.monotonic() + _PATIENCE
    while not any(condition(event) for event in events):
        assert time.monotonic() < end, events
        events += pool.poll(1.0)
    return events


def _ended(task):
    return lambda event: event.task == task and event.kind != "progress"


def _gone(process_id):
    """Whether the process has ended (a zombie nobody waits for has)."""
    try:
        stat = pathlib.Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.fixture(scope="module")
def pool():
    with workers.WorkerPool(2) as pool:
        yield pool


def test_results_and_progress_arrive_in_order(pool):
    pool.submit(7, tasks.echo, {"x": 1})
    pool.submit(8, tasks.echo, "y")
    assert pool.idle == 0 and set(pool.running) == {7, 8}
    with pytest.raises(WorkerError, match="busy"):
        pool.submit(9, tasks.echo, None)
    events = _until(pool, _ended(7))
    if not any(_ended(8)(event) for event in events):
        events += _until(pool, _ended(8))
    for task, argument in ((7, {"x": 1}), (8, "y")):
        first, second = [event for event in events if event.task == task]
        assert (first.kind, first.content) == ("progress", ("begun", argument))
        assert (second.kind, second.content[0]) == ("result", argument)
        assert second.content[1] in pool.process_ids
    assert pool.idle == 2 and pool.running == ()


def test_exceptions_are_told_in_one_line_and_the_worker_lives(pool):
    processes = set(pool.process_ids)
    pool.submit(0, tasks.fail, "such key")
    [event] = _until(pool, _ended(0))
    assert event.kind == "error"
    assert event.content == "KeyError: 'no\\nsuch key'"
    assert "in fail" in event.traceback
    pool.submit(1, tasks.unpicklable, 1)
    [event] = _until(pool, _ended(1))
    assert event.kind == "error" and "pickle" in event.content
    assert set(pool.process_ids) == processes


def test_a_killed_worker_is_reported_and_replaced(pool):
    processes = set(pool.process_ids)
    pool.submit(3, tasks.kill_itself, None)
    *before, event = _until(pool, _ended(3))
    assert [e.content for e in before] == ["about to die"]
    assert event.kind == "lost" and "SIGKILL" in event.content
    assert len(processes & set(pool.process_ids)) == 1
    assert pool.idle == 2
    for task in (4, 5):  # Both the old and the new worker serve.
        pool.submit(task, tasks.echo, task)
    assert _until(pool, _ended(4)) and pool.idle >= 1
    pool.submit(6, tasks.leave, 9)
    assert "exit code 9" in _until(pool, _ended(6))[-1].content


def test_a_task_killed_from_outside_is_lost_but_the_other_goes_on(pool):
    pool.submit(10, tasks.sleep, 600)
    victim = _until(pool, lambda event: event.task == 10)[-1].content
    pool.submit(11, tasks.sleep, 0.5)
    os.kill(victim, signal.SIGKILL)
    events = _until(pool, _ended(11))
    kinds = {e.task: e.kind for e in events if e.kind != "progress"}
    if 10 not in kinds:
        kinds[10] = _until(pool, _ended(10))[-1].kind
    assert kinds == {10: "lost", 11: "result"}


def test_ctrl_c_does_not_reach_a_task(pool):
    pool.submit(12, tasks.sleep, 0.5)
    os.kill(_until(pool, lambda event: event.task == 12)[-1].content, signal.SIGINT)
    assert _until(pool, _ended(12))[-1].content == "slept"


def test_poll_gives_up_after_its_timeout(pool):
    assert pool.poll(0) == []


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_workers_compute_on_one_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    path = tmp_path / "cores"
    with workers.WorkerPool(1, tasks.cores_at_start, (str(path),)) as pool:
        # What the parent sees is as before.
        assert os.environ["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=false"
        pool.submit(0, tasks.environment, None)
        threads, flags, cores = _until(pool, _ended(0))[-1].content
    assert threads == "1"
    assert flags.split()[0] == "--xla_cpu_enable_fast_math=false"
    assert "intra_op_parallelism_threads=1" in flags
    # Pinned while libraries start, free afterwards.
    assert path.read_text() == "1"
    assert cores == len(os.sched_getaffinity(0))


def test_close_ends_workers_with_tasks():
    pool = workers.WorkerPool(1)
    pool.submit(0, tasks.sleep, 600)
    [process_id] = pool.process_ids
    pool.close()
    assert _gone(process_id)
    pool.close()


def test_an_initializer_that_fails_is_an_error():
    with (
        workers.WorkerPool(1, tasks.bad_initializer, ("no such disk",)) as pool,
        pytest.raises(WorkerError, match="RuntimeError: no such disk$") as caught,
    ):
        _until(pool, lambda event: False)
    assert "in bad_initializer" in caught.value.__notes__[0]


def test_workers_that_never_start_are_not_restarted_for_ever():
    with (
        workers.WorkerPool(1, tasks.dying_initializer) as pool,
        pytest.raises(WorkerError, match="exit code 3"),
    ):
        _until(pool, lambda event: False)


def test_no_workers_is_refused():
    with pytest.raises(WorkerError, match="workers = 0"):
        workers.WorkerPool(0)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc")
def test_workers_do_not_outlive_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.search.worker_tasks"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        process_ids = [int(word) for word in parent.stdout.readline().split()]
        assert len(process_ids) == 2 and not any(map(_gone, process_ids))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    end = time.monotonic() + _PATIENCE
    while not all(map(_gone, process_ids)):
        assert time.monotonic() < end, "orphans"
        time.sleep(0.05)


@pytest.mark.parametrize("pixels", [None, 10**6, 10**9])
def test_xla_reads_every_option_of_the_workers(pixels):
    # What stands after an option without dashes is not read.
    options = workers.worker_environment(pixels)["XLA_FLAGS"].split()
    assert all(option.startswith("--") for option in options[:-1])
    assert "intra_op_parallelism_threads=1" in options


def test_short_trainings_are_compiled_without_unrolled_loops():
    def rolled(pixels):
        flags = workers.worker_environment(pixels)["XLA_FLAGS"]
        return "xla_cpu_disable_loop_unrolling=true" in flags

    assert rolled(30 * 1400 * 64)
    assert not rolled(27 * 55_000 * 784)
    assert not rolled(None)
