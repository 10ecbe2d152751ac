import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.search import pareto

# Few distinct values, so that ties and equal points are common.
_grids = st.integers(1, 4).flatmap(
    lambda k: st.lists(st.tuples(*[st.integers(0, 4)] * k), min_size=1, max_size=12)
)


def _dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


@settings(max_examples=150, deadline=None)
@given(_grids)
def test_non_dominated_agrees_with_the_definition(points):
    expected = [not any(_dominates(b, a) for b in points) for a in points]
    assert pareto.non_dominated(np.array(points)).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(_grids)
def test_hypervolume_counts_the_unit_cells_that_are_covered(points):
    # On an integer grid the volume is the number of unit cells [c, c + 1] with c >= a
    # for some point a.
    k = len(points[0])
    cells = itertools.product(range(5), repeat=k)
    covered = sum(
        any(all(x <= y for x, y in zip(a, c, strict=True)) for a in points)
        for c in cells
    )
    assert pareto.hypervolume(np.array(points), np.full(k, 5)) == covered


def test_hypervolume_of_three_real_objectives_by_inclusion_and_exclusion():
    rng = np.random.default_rng(0)
    for _ in range(20):
        points, reference = rng.random((7, 3)), np.array([0.9, 0.95, 1.0])
        total = 0.0
        for size in range(1, 8):
            for subset in itertools.combinations(points, size):
                sides = np.maximum(reference - np.max(subset, axis=0), 0)
                total += (-1) ** (size + 1) * np.prod(sides)
        assert pareto.hypervolume(points, reference) == pytest.approx(total, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(_grids, st.randoms(use_true_random=False))
def test_hypervolume_ignores_order_and_dominated_points(points, random):
    points, reference = np.array(points), np.full(len(points[0]), 5)
    whole = pareto.hypervolume(points, reference)
    shuffled = points[random.sample(range(len(points)), len(points))]
    assert pareto.hypervolume(shuffled, reference) == whole
    kept = points[pareto.non_dominated(points)]
    assert pareto.hypervolume(kept, reference) == whole


def test_hypervolume_of_nothing_below_the_reference_is_zero():
    assert pareto.hypervolume(np.empty((0, 3)), np.ones(3)) == 0
    assert pareto.hypervolume(np.array([[0.5, 0.5, 1.0]]), np.ones(3)) == 0


def test_nan_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        pareto.non_dominated(np.array([[np.nan, 0.0]]))
    with pytest.raises(ValueError, match="NaN"):
        pareto.hypervolume(np.array([[np.nan, 0.0]]), np.ones(2))
    with pytest.raises(ValueError, match="shapes"):
        pareto.hypervolume(np.zeros((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match="shape"):
        pareto.non_dominated(np.zeros(3))


def _row(index, error, size, memory, status="completed"):
    return {
        "index": index,
        "status": status,
        "validation_error": error,
        "model_size_nonzero": size,
        "input_output": memory,
    }


_OBJECTIVES = ("validation_error", "model_size_nonzero", "input_output")
_RECORDS = [
    _row(0, 0.10, 500, 900),
    _row(1, 0.05, 800, 3000),  # Best error, over the limit.
    _row(2, 0.10, 600, 900),  # Dominated by 0.
    _row(3, 0.20, 100, 1000),
    _row(4, 0.07, 900, 2048),  # Exactly on the limit.
    _row(5, 0.01, 10, 10, status="failed"),
    _row(6, None, 10, 10),
    _row(7, float("nan"), 10, 10),
]
_LIMITS = {"input_output": 2048, "model_size_nonzero": 32768}


def test_front_leaves_out_failed_incomplete_and_infeasible_trials():
    everything = pareto.front(_RECORDS, _OBJECTIVES)
    assert [row["index"] for row in everything] == [1, 4, 0, 3]
    within = pareto.front(_RECORDS, _OBJECTIVES, _LIMITS)
    assert [row["index"] for row in within] == [4, 0, 3]
    assert pareto.front([], _OBJECTIVES) == []


def test_a_trial_that_only_an_infeasible_one_dominates_is_on_the_feasible_front():
    records = [_row(0, 0.1, 100, 4000), _row(1, 0.2, 200, 5000), _row(2, 0.3, 300, 10)]
    within = pareto.front(records, _OBJECTIVES[:2], {"input_output": 100})
    assert [row["index"] for row in within] == [2]


def test_pick_is_the_lowest_error_then_memory_then_size_then_the_earliest():
    assert pareto.pick(_RECORDS, "input_output", _LIMITS)["index"] == 4
    ties = [_row(0, 0.1, 50, 90), _row(1, 0.1, 70, 80), _row(2, 0.1, 60, 80)]
    assert pareto.pick(ties, "input_output", {})["index"] == 2
    ties += [_row(3, 0.1, 60, 80)]
    assert pareto.pick(ties, "input_output", {})["index"] == 2
    assert pareto.pick(_RECORDS, "input_output", {"input_output": 5}) is None


def test_annotate_marks_rows_and_leaves_the_originals_alone():
    marked = pareto.annotate(_RECORDS, _OBJECTIVES, _LIMITS)
    assert [r["index"] for r in marked if r["on_front"]] == [0, 3, 4]
    assert [r["index"] for r in marked if r["feasible"]] == [0, 2, 3, 4, 6, 7]
    assert "feasible" not in _RECORDS[0]


def test_annotate_shows_the_front_of_all_if_nothing_is_feasible():
    marked = pareto.annotate(_RECORDS, _OBJECTIVES, {"input_output": 1})
    assert [r["index"] for r in marked if r["on_front"]] == [0, 1, 3, 4]
    assert not any(r["feasible"] for r in marked)
