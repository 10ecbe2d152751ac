import math

import pytest

from spjax.report import ReportError, figures, front_json
from tests.report.synthetic import HEADER, failed, row, study


def test_keys_follow_the_header():
    assert figures.memory_key(HEADER) == "input_output"
    assert figures.size_key(HEADER) == "model_size_nonzero"
    assert figures.size_key(HEADER | {"size_model": "dense"}) == "model_size_dense"


@pytest.mark.parametrize("name", [None, "SRAM", "model_size_nonzero"])
def test_an_unknown_model_is_named_with_the_known_ones(name):
    with pytest.raises(ReportError, match=f"{name!r}.*input_output, input_weights"):
        figures.memory_key({"memory_model": name})
    if name:
        with pytest.raises(ReportError, match=f"{name!r}.*nonzero, dense"):
            figures.size_key({"size_model": name})


def test_every_model_is_explained():
    for name in (*figures.MEMORY_MODELS, "model_size_nonzero", "model_size_dense"):
        assert "byte" in figures.MODELS[name]
    assert "not counted" in figures.MODELS["model_size_nonzero"]
    assert all("\n" not in line for line in figures.MODELS.values())


def test_limits_of_no_board():
    assert figures.limits({}) == ("no board", None, None)
    assert figures.excesses(row(0), HEADER | {"board": None}) == ()


@pytest.mark.parametrize(
    ("memory", "size", "broken"),
    [
        (2048, 32768, []),
        (2049, 32768, [("input_output", 2049, 2048)]),
        (2048, 32769, [("model_size_nonzero", 32769, 32768)]),
        (
            5000,
            99999,
            [("input_output", 5000, 2048), ("model_size_nonzero", 99999, 32768)],
        ),
    ],
)
def test_a_limit_may_be_met_exactly(memory, size, broken):
    trial = row(0, input_output=memory, model_size_nonzero=size, feasible=not broken)
    assert [tuple(e) for e in figures.excesses(trial, HEADER)] == broken
    text = figures.fit_text(trial, HEADER)
    assert text == (
        "fits"
        if not broken
        else "over: " + "; ".join(f"{name} > {limit:,} B" for name, _, limit in broken)
    )


def test_the_memory_model_of_the_header_is_the_one_that_is_limited():
    trial = row(0, input_output=100, input_weights=3000, feasible=False)
    assert figures.excesses(trial, HEADER) == ()
    header = HEADER | {"memory_model": "input_weights"}
    assert str(figures.excesses(trial, header)[0]) == "input_weights > 2,048 B"


def test_measured_leaves_out_what_has_no_figures_and_sorts():
    rows = [
        row(3),
        failed(2),
        row(1, validation_error=math.nan),
        row(4, input_output=None),
        row(0),
    ]
    assert [r["index"] for r in figures.measured(rows, HEADER)] == [0, 3]


def test_front_is_sorted_by_error_then_memory_then_size():
    low = {"validation_error": 0.1, "on_front": True}
    rows = [
        row(0, validation_error=0.2, on_front=True),
        row(1, **low, input_output=9, model_size_nonzero=1),
        row(2, **low, input_output=8, model_size_nonzero=7),
        row(3, **low, input_output=8, model_size_nonzero=6),
        row(4, validation_error=0.0),
    ]
    assert [r["index"] for r in figures.front_of(rows, HEADER)] == [3, 2, 1, 0]
    points = front_json(HEADER, rows[:4])["points"]
    assert [p["index"] for p in points] == [3, 2, 1, 0]


def test_pick_is_the_best_that_fits():
    rows = study(80, seed=1)
    done = [r for r in rows if r["status"] == "completed" and r["feasible"]]
    best = min(r["validation_error"] for r in done)
    pick = figures.choose_pick(rows, HEADER)
    assert pick["feasible"] and pick["on_front"] and pick["validation_error"] == best
    assert any(
        r["validation_error"] < best and not r["feasible"]
        for r in figures.measured(rows, HEADER)
    ), "the data must have a better trial that does not fit, else this shows nothing"


def test_no_pick_where_nothing_fits():
    assert figures.choose_pick([], HEADER) is None
    assert figures.choose_pick([row(0, feasible=False, on_front=True)], HEADER) is None


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "12", [1]])
def test_what_is_no_number(value):
    assert not figures.is_number(value)
