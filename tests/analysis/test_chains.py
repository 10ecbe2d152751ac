"""Contracted chains and ordered twins change no best peak."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.analysis.chains import contract, order_twins
from spjax.analysis.problem import Problem
from spjax.analysis.schedule import SHARINGS, whole
from tests.analysis import graphs


def _best(problem):
    """Smallest peak over all orders of a problem's tasks."""
    best = None
    for order in itertools.permutations(range(problem.count)):
        done = 0
        for task in order:
            if problem.before[task] & ~done:
                break
            done |= 1 << task
        else:
            peak = problem.peak(order)
            best = peak if best is None else min(best, peak)
    return best


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHARINGS))
def test_best_peak_stays(seed, sharing):
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:
        program = graphs.random_program(rng, int(rng.integers(2, 7)), most_reads=2)
    else:
        program = graphs.branched_program(rng, int(rng.integers(2, 4)), 7, largest=9)
    problem = Problem(whole(program, sharing=sharing))
    best = _best(problem)
    small, groups = contract(problem)
    assert sorted(t for group in groups for t in group) == list(range(problem.count))
    assert _best(small) == best
    order_twins(small)
    assert _best(small) == best
    order_twins(problem)
    assert _best(problem) == best


def test_stops_by_hand():
    """100 -> 30 -> 80 -> 20 -> 50 -> 40 -> 60: stop at 100, 30, 20, 40 and 60."""
    sizes = [100, 30, 80, 20, 50, 40, 60]
    operations = [("dense", [i], size) for i, size in enumerate(sizes)]
    program = graphs.program([7], operations, (len(sizes),))
    _, groups = contract(Problem(whole(program, sharing="none")))
    assert groups == [[0], [1], [2, 3], [4, 5], [6]]


def test_a_tensor_read_twice_ends_a_chain():
    operations = [("dense", [0], 5), ("dense", [1], 5), ("dense", [1, 2], 5)]
    program = graphs.program([5], operations, (3,))
    _, groups = contract(Problem(whole(program)))
    assert groups == [[0], [1], [2]]


def test_twins_wait_for_each_other():
    operations = [
        ("dense", [0], 5), ("dense", [0], 5), ("dense", [0], 6), ("dense", [1, 2, 3], 1)
    ]  # fmt: skip
    problem = Problem(whole(graphs.program([4], operations, (4,)), sharing="none"))
    order_twins(problem)
    assert problem.before[1] == 0b0001  # equal to task 0
    assert problem.before[2] == 0  # another size
