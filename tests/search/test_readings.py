"""Rows of readings, and the front over them against brute force."""

from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import search

OBJECTIVES = ("validation_error", "model_size_nonzero", "input_output")
FIGURES = st.fixed_dictionaries(
    {
        "validation_error": st.sampled_from([0.1, 0.2, 0.3]),
        "model_size_nonzero": st.integers(1, 4),
        "input_output": st.integers(1, 3),
    }
)
TRIALS = st.lists(st.tuples(FIGURES, st.lists(FIGURES, max_size=3)), max_size=6)


def test_further_sparsities_keep_shares_of_what_is_left():
    assert search.further_sparsities(0.0) == (
        1 - 0.9, 1 - 0.8, 1 - 0.65,
    )  # fmt: skip
    rising = search.further_sparsities(0.9)
    assert 0.9 < rising[0] < rising[1] < rising[2] < 1
    assert abs(rising[1] - 0.92) < 1e-12


def test_a_reading_has_its_own_figures_and_its_trial_s_facts():
    record = {
        "index": 3,
        "status": "completed",
        "edit": "kernel",
        "validation_error": 0.1,
        "readings": [{"validation_error": 0.2, "threshold": 4.5}],
    }
    own, further = search.spread([record])
    assert own == {**record, "reading": 0}
    assert further == {
        "index": 3,
        "status": "completed",
        "edit": "kernel",
        "validation_error": 0.2,
        "threshold": 4.5,
        "reading": 1,
    }
    assert search.key_of(further) == (3, 1) and search.key_of(record) == (3, 0)
    assert search.name_of(3) == "0003" and search.name_of(3, 1) == "0003-1"


def test_a_failed_trial_has_no_readings():
    record = {"index": 0, "status": "failed", "reason": "none"}
    assert search.spread([record]) == [{**record, "reading": 0}]


@settings(max_examples=60, deadline=None)
@given(TRIALS, st.integers(1, 4))
def test_the_front_is_that_of_all_readings(trials, limit):
    records = [
        {"index": i, "status": "completed", **own, "readings": further}
        for i, (own, further) in enumerate(trials)
    ]
    limits = {"model_size_nonzero": limit}
    rows = search.annotate(search.spread(records), OBJECTIVES, limits)
    assert len(rows) == sum(1 + len(further) for _, further in trials)
    points = [tuple(row[name] for name in OBJECTIVES) for row in rows]
    within = [p for p in points if p[1] <= limit] or points
    for row, point in zip(rows, points, strict=True):
        beaten = any(
            q != point and all(a <= b for a, b in zip(q, point, strict=True))
            for q in within
        )
        fits = point[1] <= limit or not any(p[1] <= limit for p in points)
        assert row["on_front"] == (fits and not beaten)
