import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch import schedule
from launch.launcher import Job


class _FakeLauncher:
    """Jobs end after as many polls as their command says; time is not involved."""

    def __init__(self, deaf=()):
        self.running: dict[str, int] = {}
        self.codes: dict[str, int] = {}
        self.most_at_once = 0
        self.started: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.deaf = set(deaf)

    def submit(self, job):
        assert job.name not in self.started
        self.started.append(job.name)
        polls, code = map(int, job.command)
        self.running[job.name] = polls
        self.codes[job.name] = code
        self.most_at_once = max(self.most_at_once, len(self.running))
        return job.name

    def poll(self, name):
        if name in self.running:
            if self.running[name] > 0:
                self.running[name] -= 1
                return None
            del self.running[name]
        return self.codes[name]

    def cancel(self, name, force=False):
        self.events.append(("kill" if force else "ask", name))
        if self.running.get(name) and (force or name not in self.deaf):
            self.codes[name] = -9 if force else 130
            self.running[name] = 0


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(schedule, "_POLL_SECONDS", 0)


def _jobs(*polls_and_codes):
    return [
        Job(f"job{k}", tuple(map(str, pair)), pathlib.Path("log"))
        for k, pair in enumerate(polls_and_codes)
    ]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(-9, 9)), max_size=8),
    st.integers(1, 4),
)
def test_all_jobs_run_once_in_order_and_never_too_many(pairs, parallel):
    schedule._POLL_SECONDS = 0
    jobs, launcher = _jobs(*pairs), _FakeLauncher()
    began, ended = [], []
    codes = schedule.run_jobs(
        jobs,
        launcher,
        parallel,
        on_start=lambda job: began.append(job.name),
        on_end=lambda job, code, seconds: ended.append((job.name, code)),
    )
    assert launcher.started == began == [job.name for job in jobs]
    assert codes == {f"job{k}": code for k, (_, code) in enumerate(pairs)}
    assert dict(ended) == codes and len(ended) == len(codes)
    assert launcher.most_at_once == min(parallel, len(jobs))
    assert launcher.events == []


def test_seconds_are_measured(monkeypatch):
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(schedule.time, "monotonic", lambda: next(clock))
    seen = []
    schedule.run_jobs(
        _jobs((0, 0)),
        _FakeLauncher(),
        1,
        on_end=lambda job, code, seconds: seen.append(seconds),
    )
    assert seen == [2.5]


def _interrupted(launcher, jobs, **kwargs):
    def on_end(job, code, seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        schedule.run_jobs(jobs, launcher, 3, on_end=on_end, **kwargs)


def test_interrupt_stops_what_runs_and_starts_no_more():
    launcher = _FakeLauncher()
    _interrupted(launcher, _jobs((0, 0), (10**6, 0), (10**6, 0), (0, 0)))
    assert launcher.started == ["job0", "job1", "job2"]
    asked = [name for what, name in launcher.events if what == "ask"]
    assert asked == ["job1", "job2"]  # job0 had ended
    assert launcher.running == {}


def test_what_does_not_stop_is_killed_after_the_grace():
    launcher = _FakeLauncher(deaf=["job1"])
    _interrupted(launcher, _jobs((0, 0), (10**9, 0), (10**9, 0)), grace_seconds=0.05)
    assert launcher.codes["job1"] == -9 and launcher.codes["job2"] == 130
    assert launcher.running == {}


def test_a_second_interrupt_kills_at_once(monkeypatch):
    launcher = _FakeLauncher(deaf=["job1"])
    polls = launcher.poll

    def poll(name):
        if ("ask", name) in launcher.events and ("kill", name) not in launcher.events:
            raise KeyboardInterrupt
        return polls(name)

    launcher.poll = poll
    _interrupted(launcher, _jobs((0, 0), (10**9, 0)), grace_seconds=10**9)
    assert launcher.codes["job1"] == -9


def test_a_job_that_cannot_start_stops_the_others():
    class Broken(_FakeLauncher):
        def submit(self, job):
            if job.name == "job1":
                raise OSError("no such file")
            return super().submit(job)

    launcher = Broken()
    with pytest.raises(OSError, match="no such file"):
        schedule.run_jobs(_jobs((10**6, 0), (0, 0)), launcher, 2)
    assert launcher.running == {} and ("ask", "job0") in launcher.events
