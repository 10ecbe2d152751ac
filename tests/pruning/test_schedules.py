"""Schedules at their landmarks and against the formulas in plain Python."""

import math

import jax
import numpy as np
import pytest

from spjax import pruning

STEPS = range(0, 40, 3)


def test_constant_and_one_shot():
    assert [float(pruning.constant(0.5)(t)) for t in (0, 7)] == [0.5, 0.5]
    shot = pruning.one_shot(0.5, at=4)
    assert [float(shot(t)) for t in (0, 3, 4, 9)] == [0.0, 0.0, 0.5, 0.5]


def test_cubic():
    schedule = pruning.cubic(0.9, begin=6, end=30, initial=0.2)
    for t in STEPS:
        done = min(max((t - 6) / 24, 0), 1)
        want = 0.0 if t < 6 else 0.9 + (0.2 - 0.9) * (1 - done) ** 3
        assert float(schedule(t)) == pytest.approx(want, abs=1e-6)


def test_cyclic():
    schedule = pruning.cyclic(0.8, period=10, begin=5, end=30, low=0.4)
    for t in STEPS:
        phase = (t - 5) % 10 / 10
        want = 0.4 + 0.4 * (1 - math.cos(math.pi * phase)) / 2
        want = 0.0 if t < 5 else 0.8 if t >= 30 else want
        assert float(schedule(t)) == pytest.approx(want, abs=1e-6)


def test_kl_warm_up():
    weight = pruning.kl_warm_up(begin=5, end=15)
    got = [float(weight(t)) for t in (0, 5, 10, 15, 99)]
    np.testing.assert_allclose(got, [0, 0, 0.5, 1, 1])


def test_endpoints_may_be_traced():
    at = jax.jit(lambda t, s, b, e: pruning.cubic(s, begin=b, end=e)(t))
    for t in STEPS:
        want = float(pruning.cubic(0.9, begin=6, end=30)(t))
        assert float(at(t, 0.9, 6, 30)) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("bad", [-0.1, 1.0, 1.5, float("nan")])
@pytest.mark.parametrize(
    "make",
    [
        pruning.constant,
        lambda s: pruning.one_shot(s, at=3),
        lambda s: pruning.cubic(s, end=9),
        lambda s: pruning.cubic(0.5, end=9, initial=s),
        lambda s: pruning.cyclic(s, period=3, end=9),
        lambda s: pruning.cyclic(0.5, period=3, end=9, low=s),
    ],
)
def test_sparsities_outside_the_range(make, bad):
    with pytest.raises(pruning.PruningError, match=r"is outside \[0, 1\)"):
        make(bad)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pruning.cubic(0.5, begin=9, end=9),
        lambda: pruning.cyclic(0.5, period=3, begin=9, end=2),
        lambda: pruning.kl_warm_up(begin=9, end=9),
    ],
)
def test_an_end_before_the_begin(make):
    with pytest.raises(pruning.PruningError, match="must be greater than begin=9"):
        make()
