import numpy as np
import pytest
from PIL import Image
from scipy import stats

from spjax.report import ReportError
from spjax.report.comparison import (
    Course,
    by_seconds,
    by_trials,
    comparison_table,
    course,
    plot_comparison,
)


def _rows(volumes, seconds=None):
    seconds = range(1, len(volumes) + 1) if seconds is None else seconds
    return [
        {"index": i, "hypervolume": v, "elapsed": s}
        for i, (v, s) in enumerate(zip(volumes, seconds, strict=True))
    ]


def _courses(seed, count, trials=20, lift=0.0):
    rng = np.random.default_rng(seed)
    return [
        Course(
            np.maximum.accumulate(rng.random(trials) * 0.5 + lift),
            np.cumsum(rng.random(trials) + 0.5),
        )
        for _ in range(count)
    ]


def test_readings_of_one_trial_count_once():
    rows = _rows([0.1, 0.2, 0.3])
    rows.insert(2, {"index": 1, "hypervolume": 0.25, "elapsed": 2})
    found = course(rows)
    np.testing.assert_allclose(found.volumes, [0.1, 0.25, 0.3])
    np.testing.assert_allclose(found.seconds, [1, 2, 3])


def test_time_is_when_trials_ended():
    found = course(_rows([0.1, 0.2, 0.3], [5, 3, 9]))
    np.testing.assert_allclose(found.at(np.array([0, 2.9, 3, 8, 100])),
                               [0, 0, 0.1, 0.2, 0.3])  # fmt: skip


def test_the_interval_is_student_s():
    courses = _courses(0, 5)
    band = by_trials(courses)
    last = np.array([c.volumes[-1] for c in courses])
    expected = stats.ttest_1samp(last, 0).confidence_interval(0.95)
    assert band.low[-1] == pytest.approx(expected.low)
    assert band.high[-1] == pytest.approx(expected.high)
    assert band.median[-1] == np.sort(last)[2]


def test_runs_are_compared_up_to_the_shortest():
    short, long = _courses(1, 1, trials=7), _courses(2, 1, trials=20)
    assert len(by_trials([*short, *long]).places) == 7
    end = min(short[0].seconds[-1], long[0].seconds[-1])
    band = by_seconds([*short, *long])
    assert band.places[-1] == pytest.approx(end)
    expected = [c.at(np.array([end]))[0] for c in (*short, *long)]
    assert band.mean[-1] == pytest.approx(np.mean(expected))


def test_the_table_puts_the_best_median_first():
    text = comparison_table({"poor": _courses(3, 4), "good": _courses(4, 4, lift=0.3)})
    lines = text.splitlines()
    assert lines[2].startswith("| good | 4 |") and lines[3].startswith("| poor | 4 |")
    assert "after 20 trials" in lines[0]
    good, poor = (float(line.split("|")[3]) for line in lines[2:])
    told = [float(line.split("|")[6].strip(" %")) for line in lines[2:]]
    assert told == pytest.approx([0, 100 * (good / poor - 1)], abs=0.1)
    single = comparison_table({"one": _courses(5, 1)})
    assert "| - |" in single


def test_a_row_without_its_figures_is_refused():
    with pytest.raises(ReportError, match="trial 0 has no elapsed"):
        course([{"index": 0, "hypervolume": 0.5}])
    with pytest.raises(ReportError, match="without trials"):
        course([])


def test_the_picture_shows_every_algorithm(tmp_path):
    plot_comparison(
        tmp_path / "c.png", {"a": _courses(6, 3), "b": _courses(7, 3)}, "digits"
    )
    picture = np.asarray(Image.open(tmp_path / "c.png").convert("RGB"))
    colours = {tuple(p) for p in picture.reshape(-1, 3)}
    assert (0x1F, 0x77, 0xB4) in colours and (0xFF, 0x7F, 0x0E) in colours
