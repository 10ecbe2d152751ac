"""Least-live downsets against enumeration."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.analysis.cut import least_live
from spjax.analysis.problem import Problem
from spjax.analysis.schedule import whole
from tests.analysis import graphs


def _downsets(problem):
    for flags in itertools.product((0, 1), repeat=problem.count):
        done = sum(flag << i for i, flag in enumerate(flags))
        if all(not problem.before[i] & ~done for i, f in enumerate(flags) if f):
            yield done


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_enumeration(seed):
    rng = np.random.default_rng(seed)
    program = graphs.random_program(rng, int(rng.integers(1, 9)))
    problem = Problem(whole(program))
    sets = list(_downsets(problem))
    low = int(rng.choice(sets))
    high = int(rng.choice([s for s in sets if s & low == low]))
    between = [s for s in sets if s & low == low and s | high == high]
    least = min(problem.live(s) for s in between)
    best = [s for s in between if problem.live(s) == least]
    value, smallest, largest = least_live(problem, low, high)
    assert value == least
    # Minimisers form a lattice: their meet and join are minimisers.
    meet = join = best[0]
    for s in best:
        meet, join = meet & s, join | s
    assert (smallest, largest) == (meet, join)
