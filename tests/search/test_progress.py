import dataclasses
import time

import numpy as np
import pytest

from spjax.search.errors import SearchError
from spjax.search.pareto import hypervolume
from spjax.search.progress import StopRule, hypervolumes
from spjax.search.settings import Settings

_SETTINGS = Settings(
    input_shape=(8, 8, 1),
    num_classes=2,
    limits=(("planned_arena", 100), ("model_size_nonzero", 1000)),
)


def _row(error, size=500, memory=50, status="completed"):
    if status != "completed":
        return {"status": status}
    return {
        "status": status,
        "validation_error": error,
        "model_size_nonzero": size,
        "planned_arena": memory,
    }


def test_the_volume_is_a_share_of_the_box_of_the_limits():
    # Two classes: guessing errs in half of all cases.
    rows = [_row(0.25), _row(0, status="failed"), _row(0.4), _row(0.0, 0, 0)]
    assert hypervolumes(rows, _SETTINGS) == pytest.approx([0.125, 0.125, 0.125, 1.0])


def test_two_boxes_count_their_union():
    rows = [_row(0.25, 500, 50), _row(0.125, 750, 50)]
    # 1/2 1/2 1/2 and 3/4 1/4 1/2; they share 1/2 1/4 1/2.
    assert hypervolumes(rows, _SETTINGS)[-1] == pytest.approx(1 / 8 + 3 / 32 - 1 / 16)


def test_without_limits_the_largest_value_bounds_the_box():
    settings = dataclasses.replace(_SETTINGS, limits=())
    rows = [_row(0.25, 100, 10), _row(0.25, 50, 20)]
    assert hypervolumes(rows, settings) == pytest.approx([0.0, 0.0])
    rows.append(_row(0.25, 50, 10))
    assert hypervolumes(rows, settings)[-1] == pytest.approx(0.5**3)


def test_it_is_the_volume_of_all_trials_up_to_each():
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(40):
        status = "completed" if rng.random() < 0.8 else "stopped"
        error, size = rng.uniform(0, 0.6), int(rng.integers(1, 1200))
        rows.append(_row(error, size, int(rng.integers(1, 120)), status))
    volumes = hypervolumes(rows, _SETTINGS)
    names = ("validation_error", "model_size_nonzero", "planned_arena")
    for count in range(1, 41):
        done = [r for r in rows[:count] if r["status"] == "completed"]
        points = np.array([[r[n] for n in names] for r in done]).reshape(-1, 3)
        expected = hypervolume(points / np.array([0.5, 1000, 100]), np.ones(3))
        assert volumes[count - 1] == pytest.approx(expected, abs=1e-12)


def test_it_never_falls():
    rng = np.random.default_rng(0)
    rows = [
        _row(*(rng.random(3) * [0.6, 1100, 110])) if rng.random() < 0.8
        else _row(0, status="failed")
        for _ in range(40)
    ]  # fmt: skip
    volumes = hypervolumes(rows, _SETTINGS)
    assert volumes == sorted(volumes) and 0 < volumes[-1] < 1


def test_a_search_without_gain_ends():
    rule, now = StopRule(patience=3), time.monotonic()
    rows = [_row(0.2)] + [_row(0.3)] * 2
    assert rule.reason(rows, _SETTINGS, now) is None
    rows.append(_row(0.3))
    assert "last 3 trials" in rule.reason(rows, _SETTINGS, now)
    assert rule.reason([*rows, _row(0.1)], _SETTINGS, now) is None
    # A trial that is under way says nothing yet.
    running = [*rows[:3], _row(0, status="running")]
    assert rule.reason(running, _SETTINGS, now) is None


def test_the_time_budget_is_this_process_s():
    rule = StopRule(seconds=100)
    assert rule.reason([], _SETTINGS, time.monotonic() - 99) is None
    spent = rule.reason([], _SETTINGS, time.monotonic() - 100)
    assert spent == "the time budget of 100 s is spent"
    assert StopRule().reason([_row(0.3)] * 500, _SETTINGS, 0.0) is None


@pytest.mark.parametrize("options", [{"seconds": 0}, {"patience": 0}])
def test_rules_that_stop_at_once_are_refused(options):
    with pytest.raises(SearchError, match="must be"):
        StopRule(**options)
