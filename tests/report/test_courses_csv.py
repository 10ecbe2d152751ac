"""The courses of compared runs as a file."""

import numpy as np
import pytest

from spjax.report import ReportError, courses_csv
from spjax.report.comparison import Course, by_seconds, by_trials

_HEAD = "algorithm,seed,trial,seconds,hypervolume\n"
_TITLE = "digits (1,078 images), 256 B of planned_arena, 2,048 B nonzero"


def _courses():
    rng = np.random.default_rng(0)

    def one(count):
        volumes = np.maximum.accumulate(rng.random(count))
        return Course(volumes, np.sort(1000 * rng.random(count)))

    return {"morphs": {0: one(7), 3: one(9)}, "random": {1: one(8)}}


def test_courses_read_back_as_far_as_they_are_written(tmp_path):
    given = _courses()
    courses_csv.write_courses(tmp_path / "compare.csv", given, _TITLE)
    read, title = courses_csv.read_courses(tmp_path / "compare.csv")
    assert title == _TITLE and list(read) == ["morphs", "random"]
    for name, runs in given.items():
        assert list(read[name]) == list(runs)
        for seed, one in runs.items():
            other = read[name][seed]
            np.testing.assert_allclose(other.volumes, one.volumes, atol=5.1e-7)
            np.testing.assert_allclose(other.seconds, one.seconds, atol=0.051)
        both = [list(found.values()) for found in (runs, read[name])]
        band, again = map(by_trials, both)
        np.testing.assert_allclose(again.median, band.median, atol=1e-6)
        end, ended = (by_seconds(found).places[-1] for found in both)
        assert ended == pytest.approx(end, abs=0.06)


def test_a_second_writing_changes_nothing(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    courses_csv.write_courses(first, _courses(), _TITLE)
    courses_csv.write_courses(second, *courses_csv.read_courses(first))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "{head}\n",
            "does not say what was searched",
        ),
        ("# digits\nalgorithm,seed\nmorphs,0\n", "hypervolume"),
        ("# digits\n" + _HEAD, "no run is in it"),
        (
            f"# digits\n{_HEAD}morphs,0,0,1.0,much\n",
            "much",
        ),
        (f"# digits\n{_HEAD}morphs,0,0\n", "compare"),
        (
            f"# digits\n{_HEAD}morphs,a,0,1.0,0.5\n",
            "'a'",
        ),
    ],
)
def test_another_file_is_refused(tmp_path, text, told):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(ReportError, match="other.csv") as caught:
        courses_csv.read_courses(path)
    assert told in str(caught.value)


def test_a_missing_file_and_a_title_of_two_lines_are_refused(tmp_path):
    with pytest.raises(ReportError, match=r"none\.csv"):
        courses_csv.read_courses(tmp_path / "none.csv")
    with pytest.raises(ReportError, match="one line"):
        courses_csv.write_courses(tmp_path / "a.csv", _courses(), "two\nlines")
    assert not (tmp_path / "a.csv").exists()
