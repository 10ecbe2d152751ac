import math
from xml.etree import ElementTree

import numpy as np
import pytest

from spjax.report import curves_svg, memory_svg


def _lines(text):
    root = ElementTree.fromstring(text)
    return [
        np.array([p.split(",") for p in e.get("points").split()], float)[:-1]
        for e in root.iter("polyline")
    ]


def test_curves_are_the_values_to_scale():
    values = [2.0, 1.0, 0.5, 0.25]
    (line,) = _lines(curves_svg([{"loss": v} for v in values], ["loss"]))
    assert np.allclose(np.diff(line[:, 0]), np.diff(line[:, 0])[0], atol=0.11)
    # Height is linear in the value, from zero at the base.
    slope = np.polyfit(values, line[:, 1], 1)
    assert slope[0] < 0
    assert np.allclose(np.polyval(slope, values), line[:, 1], atol=0.1)


def test_each_figure_has_a_line_and_its_name():
    history = [{"epoch": e, "train_loss": 1.0, "val_loss": 2.0} for e in (1, 2, 5)]
    text = curves_svg(history, ["train_loss", "val_loss", "other"])
    first, second = _lines(text)
    assert np.all(first[:, 1] > second[:, 1])
    assert np.isclose(
        (first[1, 0] - first[0, 0]) * 3, first[2, 0] - first[1, 0], atol=1
    )
    words = [e.text for e in ElementTree.fromstring(text).iter("text")]
    assert {"train loss", "val loss", "1", "5", "epoch"} <= set(words)
    assert "other" not in words


def test_a_gap_in_the_values_is_a_gap_in_the_line():
    values = [1.0, 2.0, math.nan, 3.0, None]
    lines = _lines(curves_svg([{"loss": v} for v in values], ["loss"]))
    assert [len(line) for line in lines] == [2, 1]


@pytest.mark.parametrize(
    "history", [[], [{}], [{"loss": math.nan}, {"loss": None}], [{"other": 1}]]
)
def test_nothing_to_draw_is_nothing(history):
    assert curves_svg(history, ["loss"]) == ""


def test_one_epoch_and_flat_values_are_drawn():
    assert [len(line) for line in _lines(curves_svg([{"loss": 0.0}], ["loss"]))] == [1]


def _bars(text):
    root = ElementTree.fromstring(text)
    widths = [float(e.get("width")) for e in root.iter("rect")]
    return root, widths, [e.text for e in root.iter("text")]


def test_bars_are_in_proportion_and_named():
    layers = [
        {"name": "conv & co", "input_output": 800},
        {"name": "pool", "input_output": 200},
        {"name": "other", "macs": 3},
    ]
    _, widths, words = _bars(memory_svg(layers, "input_output"))
    assert widths[0] == pytest.approx(4 * widths[1])
    assert len(widths) == 2
    assert {"conv & co", "pool", "800", "200"} <= set(words)
    assert "input_output (bytes by layer)" in words


@pytest.mark.parametrize("limit", [400, 1600])
def test_the_limit_stands_at_its_place(limit):
    text = memory_svg([{"name": "a", "live_bytes": 800}], "live_bytes", limit)
    root, (bar,), words = _bars(text)
    (line,) = root.iter("path")
    (rectangle,) = root.iter("rect")
    place = float(line.get("d")[1:].split(",")[0]) - float(rectangle.get("x"))
    assert place / bar == pytest.approx(limit / 800, rel=0.01)
    assert f"limit {limit:,}" in words


def test_no_layers_no_bars():
    assert memory_svg([], "live_bytes") == ""
    assert memory_svg([{"name": "a"}], "live_bytes", 5) == ""


def test_curves_may_go_along_something_else():
    steps = [{"minutes": m, "hypervolume": v} for m, v in ((0.12345, 0.1), (1234, 0.9))]
    text = curves_svg(steps, ["hypervolume"], "minutes")
    words = [e.text for e in ElementTree.fromstring(text).iter("text")]
    assert {"minutes", "0.123", "1234"} <= set(words) and "epoch" not in words
