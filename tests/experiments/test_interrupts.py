"""When an interrupt is heard: at once, at the next question, at the second time."""

import os
import signal
import sys

import pytest

from experiments import _interrupts

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _put_back(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = [signal.getsignal(number) for number in SIGNALS]
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def interrupts():
    made = _interrupts.Interrupts()
    made.install()
    return made


@pytest.mark.parametrize("number", SIGNALS)
def test_outside_a_loop_it_is_raised_at_once(interrupts, number):
    interrupts.check()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()


@pytest.mark.parametrize("number", SIGNALS)
def test_inside_a_loop_it_waits_for_the_question(interrupts, number):
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        for step in range(5):
            interrupts.check()
            if step == 2:
                os.kill(os.getpid(), number)
            steps.append(step)
    assert steps == [0, 1, 2]
    # What follows, writing results, is cut short by a further one.
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_the_second_one_does_not_wait(interrupts):
    with interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


class Dropping:
    """Its destructor's exception is dropped by Python."""

    def __init__(self, error=None):
        self._error = error

    def __del__(self):
        if self._error is not None:
            raise self._error
        os.kill(os.getpid(), signal.SIGINT)


def test_one_that_python_drops_is_heard_later(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: shown.append(what.exc_type))
    interrupts = _interrupts.Interrupts()
    interrupts.install()
    Dropping(OSError())  # Gone at once.
    Dropping()
    assert shown == [OSError]
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        raise AssertionError("the loop should not have begun")


def test_ignored_signals_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts = _interrupts.Interrupts()
    interrupts.install()
    os.kill(os.getpid(), signal.SIGINT)
    interrupts.check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
