import numpy as np
import pytest

from spjax.report import style


def _axes():
    return style.new_figure(4, 3).add_axes([0.15, 0.15, 0.8, 0.7])


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(1, 8, "linear"), (1, 8.1, "log"), (0, 5, "linear"), (7, 7, "linear")],
)
def test_bytes_axis(low, high, scale):
    axes = _axes()
    ends = style.scale_bytes(axes.yaxis, low, high)
    assert axes.get_yscale() == scale and axes.get_ylim() == pytest.approx(ends)
    assert ends[0] < max(low, 1) and max(high, 1) < ends[1] and ends[0] >= 0


def test_bytes_are_written_out():
    axes = _axes()
    style.scale_bytes(axes.xaxis, 100, 10_000_000)
    axes.figure.canvas.draw()
    words = [t.get_text() for t in axes.get_xticklabels()]
    assert "1,000" in words and "1,000,000" in words


@pytest.mark.parametrize(
    ("low", "high", "scale"), [(1, 50, "log"), (10, 50, "linear"), (0, 90, "linear")]
)
def test_percent_axis(low, high, scale):
    axes = _axes()
    ends = style.scale_percent(axes.yaxis, low, high)
    assert axes.get_yscale() == scale
    assert ends[0] < low and high < ends[1]


@pytest.mark.parametrize("high", [2, 9, 60, 1e3, 1e6, 1e9])
def test_ticks_are_few_but_enough(high):
    axes = _axes()
    style.scale_bytes(axes.xaxis, 1, high)
    low, top = axes.get_xlim()
    ticks = [t for t in axes.get_xticks() if low <= t <= top]
    assert 2 <= len(ticks) <= 12


def test_memory_colours_darken_evenly_and_show_on_white():
    light = style.MEMORY_MAP(np.linspace(0, 1, 50))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(light) > 0) and light[-1] < 0.85


def test_message_has_no_axes():
    figure = style.message("title $x$", ["a", "b"])
    assert [t.get_text() for t in figure.texts] == ["title $x$", "a\nb"]
    assert style.png(figure)[:8] == b"\x89PNG\r\n\x1a\n"
