"""The order of smallest peak, against enumeration and recursion over all orders."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.analysis.order import best_order, program_order
from spjax.analysis.problem import Problem
from spjax.analysis.schedule import SHARINGS, whole
from tests.analysis import graphs


def _overlaps(schedule):
    return {
        (task.name, storage): distance
        for task in schedule.tasks
        for storage, distance in task.overlap
    }


def _names(schedule, order):
    return [schedule.tasks[i].name for i in order.tasks]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHARINGS))
def test_equals_enumeration_of_all_orders(seed, sharing):
    rng = np.random.default_rng(seed)
    program = graphs.random_program(rng, int(rng.integers(2, 7)))
    schedule = whole(program, sharing=sharing)
    overlaps = _overlaps(schedule)
    peaks = {
        order: max(graphs.transients(program, order, schedule.sizes, overlaps))
        for order in graphs.orders(program)
    }
    found = best_order(schedule)
    assert found.exact
    assert found.peak == min(peaks.values())
    assert peaks[tuple(_names(schedule, found))] == found.peak
    natural = program_order(schedule)
    assert natural.peak == peaks[tuple(op.name for op in program.operations)]
    assert natural.lower_bound <= found.peak <= natural.peak


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHARINGS))
def test_equals_recursion_on_larger_graphs(seed, sharing):
    rng = np.random.default_rng(seed)
    program = graphs.random_program(rng, int(rng.integers(7, 11)), span=6)
    schedule = whole(program, sharing=sharing)
    found = best_order(schedule)
    overlaps = _overlaps(schedule)
    assert found.peak == graphs.least_peak(program, schedule.sizes, overlaps)
    names = _names(schedule, found)
    assert sorted(names) == sorted(op.name for op in program.operations)
    steps = graphs.transients(program, names, schedule.sizes, overlaps)
    assert Problem(schedule).transients(found.tasks) == steps


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("seed", range(4))
def test_sixty_operations_on_sixteen_branches_are_exact(seed, sharing):
    rng = np.random.default_rng(seed)
    program = graphs.branched_program(rng, 16, 60)
    schedule = whole(program, sharing=sharing)
    found = best_order(schedule)
    assert found.exact
    # No order of random draws is better.
    problem = Problem(schedule)
    for _ in range(50):
        order, done = [], 0
        while len(order) < problem.count:
            ready = [
                t
                for t in range(problem.count)
                if not done >> t & 1 and not problem.before[t] & ~done
            ]
            order.append(int(rng.choice(ready)))
            done |= 1 << order[-1]
        assert problem.peak(order) >= found.peak


def test_branches_by_hand():
    """x (100) feeds two branches 60 -> 5 and 30 -> 20; the join reads 5 and 20.

    The branch that ends small first: x + 60 = 160, then x + 60 + 5, then with 5 left
    over x + 5 + 30 = 135, and x dies: 5 + 30 + 20. The other one first: 20 bytes more
    lie around while 60 are needed: 100 + 20 + 60 + 5 = 185.
    """
    operations = [
        ("dense", [0], 30),
        ("dense", [1], 20),
        ("dense", [0], 60),
        ("dense", [3], 5),
        ("dense", [2, 4], 1),
    ]
    program = graphs.program([100], operations, (5,))
    schedule = whole(program, sharing="none")
    assert program_order(schedule).peak == 180
    found = best_order(schedule)
    assert found.peak == 165 and found.exact
    assert _names(schedule, found) == ["o2", "o3", "o0", "o1", "o4"]


def test_equal_branches():
    """Exchangeable branches: 16 of 3 operations, 50, 50 and 9, worked by hand.

    After k branches 9 k bytes stay. Inside the 15th, x + 14 * 9 + 50 + 50 are alive;
    in the 16th x dies at its first operation: x + 15 * 9 + 50, then less.
    """
    operations, ends = [], []
    for _ in range(16):
        operations.append(("dense", [0], 50))
        operations.append(("dense", [len(operations)], 50))
        operations.append(("dense", [len(operations)], 9))
        ends.append(len(operations))
    operations.append(("dense", ends, 10))
    program = graphs.program([100], operations, (len(operations),))
    found = best_order(whole(program, sharing="none"))
    assert found.exact and found.peak == 100 + 14 * 9 + 100


def test_alignment_rounds_every_storage_up():
    program = graphs.program([3], [("dense", [0], 5), ("dense", [1], 17)], (2,))
    assert best_order(whole(program), alignment=16).peak == 16 + 32


def test_cut_off_search_says_so_and_bounds():
    rng = np.random.default_rng(0)
    for _ in range(60):
        program = graphs.random_program(rng, 14, span=10)
        schedule = whole(program, sharing="none")
        short, full = best_order(schedule, limit=0), best_order(schedule)
        assert short.lower_bound <= full.peak <= short.peak
        assert full.exact and (short.exact == (short.lower_bound == short.peak))
    labels = {best_order(whole(graphs.random_program(rng, 14, span=10)), limit=0).exact
              for _ in range(60)}  # fmt: skip
    assert labels == {True, False}


def test_nothing_to_order():
    program = graphs.program([7], [], (0,))
    assert best_order(whole(program)).peak == 7
