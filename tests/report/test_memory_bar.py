import numpy as np
import pytest

from spjax.report import style
from spjax.report.memory_bar import draw_memory_bar


def _bar(memory, limit):
    bar = style.new_figure(2, 4).add_axes([0.3, 0.1, 0.2, 0.7])
    return bar, draw_memory_bar(bar, "live_bytes", np.array(memory), limit)


def _limit_lines(bar):
    return [
        list(line.get_ydata()) for line in bar.lines if line.get_color() == "#c2255c"
    ]


@pytest.mark.parametrize("memory", [[100, 3000], [1000, 1900]])
def test_a_near_limit_is_a_mark_within_the_scale(memory):
    bar, colour = _bar(memory, 2048)
    low, high = bar.get_ylim()
    assert low <= min(memory) and max(*memory, 2048) <= high
    assert _limit_lines(bar) == [[2048, 2048]]
    assert [t.get_text() for t in bar.texts] == ["live_bytes\n(bytes)", "2,048\nlimit"]
    # No tick so near that its number would run into the limit's.
    at = colour.norm(2048)
    for tick in bar.get_yticks():
        assert abs(colour.norm(tick) - at) > 0.05


@pytest.mark.parametrize(("limit", "side"), [(50, "below"), (40_000, "above")])
def test_a_far_limit_is_told_in_words(limit, side):
    bar, _ = _bar([1000, 1900], limit)
    assert _limit_lines(bar) == []
    assert bar.texts[1].get_text() == f"limit {limit:,}\n{side} the scale"


def test_without_a_limit_there_is_only_the_name():
    bar, _ = _bar([1000], None)
    assert [t.get_text() for t in bar.texts] == ["live_bytes\n(bytes)"]


@pytest.mark.parametrize("memory", [[0, 0], [0, 10**7], [5, 5], [3]])
def test_degenerate_ranges_have_finite_colours(memory):
    bar, colour = _bar(memory, 2048)
    assert np.all(np.isfinite(colour.to_rgba(memory)))
    low, high = bar.get_ylim()
    assert low < high


def test_bar_and_points_have_the_same_colours():
    bar, colour = _bar([100, 3000], 2048)
    (mesh,) = bar.collections
    edges = mesh.get_coordinates()[:, 0, 1]
    middles = colour.norm.inverse(
        (colour.norm(edges[1:]) + colour.norm(edges[:-1])) / 2
    )
    shown = mesh.to_rgba(mesh.get_array().ravel())
    assert np.abs(shown - colour.to_rgba(middles)).max() < 0.02
