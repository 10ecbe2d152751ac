import math
from xml.etree import ElementTree

import pytest

from spjax.report import ReportError, front_svg
from tests.report.synthetic import HEADER, failed, row, stopped, study


def _marks(rows, header=HEADER):
    """Place and words of each trial's mark, by what it is called."""
    root = ElementTree.fromstring(front_svg(rows, header))
    marks = {}
    for mark in root.iter("circle"):
        words = mark.findtext("title")
        if words:  # Those without are the colours' key.
            name = words.split(":")[0].removeprefix("trial ")
            assert name not in marks
            marks[name] = mark, words
    return root, marks


def _place(mark):
    return float(mark.get("cx")), float(mark.get("cy"))


def test_every_completed_trial_has_a_mark_and_others_none():
    rows = [*study(40), stopped(40), failed(41)]
    _, marks = _marks(rows)
    done = [r for r in rows if r["status"] == "completed"]
    assert sorted(marks) == sorted(str(r["index"]) for r in done)
    for r in done:
        words = marks[str(r["index"])][1]
        assert f"{r['model_size_nonzero']:,} B" in words
        assert f"{r['input_output']:,} B" in words
        assert f"error {100 * r['validation_error']:.2f} %" in words


def test_places_are_logarithmic():
    sizes, errors = (100, 1000, 10000), (0.4, 0.04, 0.004)
    rows = [
        row(i, model_size_nonzero=s, validation_error=e, on_front=True)
        for i, (s, e) in enumerate(zip(sizes, errors, strict=True))
    ]
    _, marks = _marks(rows)
    places = [_place(marks[str(i)][0]) for i in range(3)]
    for a, b, c in zip(*places, strict=True):
        assert b - a == pytest.approx(c - b, abs=0.11)
    (x0, y0), (x1, y1) = places[:2]
    assert x1 > x0 and y1 > y0  # Lower errors stand lower.


def test_colours_tell_the_memory_on_the_front():
    rows = [
        row(0, on_front=True, input_output=100),
        row(1, on_front=True, input_output=1000, model_size_nonzero=500),
        row(2, on_front=True, input_output=1000, validation_error=0.2),
        row(3, input_output=100, validation_error=0.5),
    ]
    root, marks = _marks(rows)
    fills = [marks[str(i)][0].get("fill") for i in range(4)]
    assert fills[1] == fills[2] != fills[0] and fills[3] not in fills[:3]
    key = [e for e in root.iter("circle") if e.find("title") is None]
    assert key[0].get("fill") == fills[0] and key[-1].get("fill") == fills[1]
    words = [e.text for e in root.iter("text")]
    assert {"input_output", "100", "1,000", "model_size_nonzero (bytes)"} <= set(words)


def test_the_pick_is_the_largest_and_what_does_not_fit_is_hollow():
    rows = [
        row(0, on_front=True),
        row(1, on_front=True, validation_error=0.01, feasible=False),
    ]
    _, marks = _marks(rows)
    assert float(marks["0"][0].get("r")) > float(marks["1"][0].get("r"))
    assert marks["1"][0].get("fill") == "none" != marks["0"][0].get("fill")


@pytest.mark.parametrize(
    "changes",
    [
        {"validation_error": 0.0},
        {"model_size_nonzero": 0},
        {"input_output": 0},
        {"validation_error": 1.0, "model_size_nonzero": 10**7},
    ],
)
def test_extreme_figures_have_places(changes):
    for rows in ([row(0, on_front=True, **changes)], [row(0, **changes), row(1)]):
        _, marks = _marks(rows)
        for mark, _ in marks.values():
            assert all(math.isfinite(v) and 0 <= v <= 760 for v in _place(mark))


def test_nothing_to_draw_is_nothing():
    assert front_svg([failed(0), stopped(1)], HEADER) == ""
    with pytest.raises(ReportError, match="memory_model"):
        front_svg([row(0)], {})


def test_words_of_the_run_are_escaped():
    rows = [row(0, on_front=True, feasible=False, input_output=5000)]
    header = HEADER | {"board": {"name": "<b>", "ram_bytes": 10, "flash_bytes": 10}}
    _, marks = _marks(rows, header)
    assert "over: input_output > 10 B" in marks["0"][1]
