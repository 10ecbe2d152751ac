import numpy as np
import pytest
from matplotlib.image import imread

from spjax.report import plot_progress, progress_figure
from spjax.report.progress_plot import lowest_so_far
from tests.report.synthetic import HEADER, failed, row, stopped, study


def _marks(axes):
    return {c.get_label(): c.get_offsets().data for c in axes.collections}


def test_lowest_so_far_against_the_running_minimum():
    done = [r for r in study(80) if r["status"] == "completed"]
    steps = dict(lowest_so_far(done))
    best = np.inf
    for r in done:
        if r["feasible"] and r["validation_error"] < best:
            best = r["validation_error"]
            assert steps.pop(r["index"]) == best
    assert not steps


def test_every_trial_is_drawn_once():
    rows = study(60)
    axes = progress_figure(rows, HEADER).axes[0]
    marks = _marks(axes)
    drawn = sorted(x for places in marks.values() for x, _ in places)
    assert drawn == list(range(60))
    lost = [r["index"] for r in rows if r["status"] == "failed"]
    assert [x for x, _ in marks["trial, failed"]] == lost and lost
    errors = {x: y for name in marks if "failed" not in name for x, y in marks[name]}
    for r in rows:
        if r["status"] == "completed":
            assert errors[r["index"]] == pytest.approx(100 * r["validation_error"])


def test_the_line_ends_at_the_lowest_error_that_fits():
    rows = study(60)
    axes = progress_figure(rows, HEADER).axes[0]
    (line,) = axes.lines
    lowest = min(r["validation_error"] for r in rows if r["feasible"])
    assert line.get_ydata()[-1] == pytest.approx(100 * lowest)
    assert line.get_xdata()[-1] >= 59
    assert f"{100 * lowest:.2f} %" in [t.get_text() for t in axes.texts]


def test_the_hypervolume_has_a_panel_if_known():
    rows = study(30)
    assert len(progress_figure(rows, HEADER).axes) == 1
    done = [r for r in rows if r["status"] == "completed"]
    for n, r in enumerate(done):
        r["hypervolume"] = n / 100
    axes = progress_figure(rows, HEADER).axes[1]
    (line,) = axes.lines
    assert list(line.get_xdata()[:-1]) == [r["index"] for r in done]
    assert list(line.get_ydata()[:-1]) == [n / 100 for n in range(len(done))]
    assert axes.get_ylabel() == "hypervolume"
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > len(done) / 100


def test_nothing_that_fits_has_no_line():
    axes = progress_figure([row(0, feasible=False)], HEADER).axes[0]
    assert not axes.lines


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "No trial has finished yet."),
        ([failed(0), failed(1)], "All 2 trials failed"),
    ],
)
def test_nothing_to_plot_is_said(rows, words):
    figure = progress_figure(rows, HEADER)
    assert not figure.axes and any(words in t.get_text() for t in figure.texts)


def test_the_axis_counts_in_whole_trials():
    for count in (1, 2, 7, 60):
        figure = progress_figure([row(n) for n in range(count)], HEADER)
        figure.canvas.draw()
        ticks = figure.axes[0].get_xticks()
        assert len(ticks) and np.all(ticks == np.round(ticks))


def test_the_file_is_a_picture(tmp_path):
    plot_progress(tmp_path / "p.png", study(40), HEADER)
    pixels = imread(tmp_path / "p.png")[..., :3]
    assert pixels.shape[:2] == (640, 1344)
    assert 0.8 < np.mean(np.all(pixels > 0.99, -1)) < 0.98


def test_stopped_trials_are_drawn_where_they_were_heading():
    rows = [*study(30, fail=0.2), stopped(30, 0.4), stopped(31, 0.97)]
    figure = progress_figure(rows, HEADER)
    axes = figure.axes[0]
    marks = _marks(axes)
    assert marks["stopped, predicted"].tolist() == [[30, 40], [31, 97]]
    assert not {30, 31} & {x for x, _ in marks["trial, failed"]}
    assert axes.get_ylim()[1] >= 97
    # The legend stays inside the picture.
    figure.canvas.draw()
    legend = axes.get_legend().get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.width
