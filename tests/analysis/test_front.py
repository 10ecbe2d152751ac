"""Breadth-first search within a bound, against the recursion over all orders."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import _exhaustive
from spjax.analysis.chains import contract, order_twins
from spjax.analysis.front import Front
from spjax.analysis.order import best_order
from spjax.analysis.problem import Problem
from spjax.analysis.schedule import SHARINGS, whole
from spjax.analysis.walk import CutOff
from tests.analysis import graphs


def _least(schedule):
    overlaps = {(t.name, s): d for t in schedule.tasks for s, d in t.overlap}
    return _exhaustive.least_peak(schedule.program, schedule.sizes, overlaps)


def _random(seed):
    rng = np.random.default_rng(seed)
    if seed % 2:
        return graphs.random_program(rng, int(rng.integers(2, 12)), span=6)
    branches = int(rng.integers(2, 7))
    return graphs.branched_program(rng, branches, 2 * branches + 4, largest=30)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHARINGS), st.booleans())
def test_a_way_exists_exactly_from_the_least_peak_on(seed, sharing, small):
    schedule = whole(_random(seed), sharing=sharing)
    least, problem = _least(schedule), Problem(schedule)
    if small:
        problem, _ = contract(problem)
        order_twins(problem)
    for bound in (least, least + 7):
        path = Front(problem, bound, 0, problem.everything, 10**6).run()
        assert sorted(path) == list(range(problem.count))
        done = 0
        for task in path:
            assert not problem.before[task] & ~done
            done |= 1 << task
        assert problem.peak(path) <= bound
    below = Front(problem, least - 1, 0, problem.everything, 10**6)
    assert below.run() is None
    # The next bound at which anything changes: no way is missed in between.
    assert least - 1 < below.exceeded <= least


def _modules(branches):
    """Branches of one map of 784: 784 or 196, then 49 to 1568, then 1 to 8; joined."""
    rng = np.random.default_rng(branches)
    operations, ends = [], []
    for _ in range(branches):
        plane, width = int(rng.choice([49, 196])), int(rng.integers(1, 9))
        operations.append(("dense", [0], 4 * plane))
        operations.append(("dense", [len(operations)], width * plane))
        operations.append(("dense", [len(operations)], width))
        ends.append(len(operations))
    operations.append(("dense", ends, 10))
    return graphs.program([784], operations, (len(operations),))


@pytest.mark.parametrize("branches", [4, 5])
def test_joined_branches_equal_all_orders(branches):
    schedule = whole(_modules(branches), sharing="none")
    found = best_order(schedule)
    assert found.exact and found.peak == _least(schedule)


@pytest.mark.parametrize("branches", [10, 13, 16])
@pytest.mark.parametrize("sharing", ["none", "overlap"])
def test_joined_branches_are_proved(branches, sharing):
    schedule = whole(_modules(branches), sharing=sharing)
    found = best_order(schedule)
    assert found.exact
    assert Problem(schedule).peak(found.tasks) == found.peak


def test_limit():
    problem = Problem(whole(_modules(9), sharing="none"))
    with pytest.raises(CutOff):
        Front(problem, 10**6, 0, problem.everything, limit=3).run()
