import io
import warnings

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.transforms import Bbox

from spjax.report import ReportError, choose_pick, front_figure, labels, plot_front
from spjax.report.front_plot import step_line
from tests.report.synthetic import HEADER, failed, mark_front, row, study


def _dots(figure, label):
    """The places of the marks under one entry of the legend, as {(x, y)}."""
    found = [c for c in figure.axes[0].collections if c.get_label() == label]
    if not found:
        return set()
    (marks,) = found
    return {(round(x, 6), round(y, 6)) for x, y in marks.get_offsets()}


def _places(rows):
    return {
        (r["model_size_nonzero"], round(100 * r["validation_error"], 6)) for r in rows
    }


def _words(figure):
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    return texts + [t.get_text() for t in figure.texts]


def test_every_trial_is_drawn_once_under_the_right_sign():
    rows = study(60)
    done = [r for r in rows if r["status"] == "completed"]
    pick = choose_pick(rows, HEADER)
    figure = front_figure(rows, HEADER)
    signs = {
        "front, fits the board": lambda r: r["on_front"] and r["feasible"],
        "front, over a limit": lambda r: r["on_front"] and not r["feasible"],
        "other trial, fits": lambda r: not r["on_front"] and r["feasible"],
        "other trial, over a limit": lambda r: not (r["on_front"] or r["feasible"]),
    }
    for label, belongs in signs.items():
        chosen = [r for r in done if r is not pick and belongs(r)]
        assert len(chosen) > 3
        assert _dots(figure, label) == _places(chosen)
    assert _dots(figure, "pick: lowest error that fits") == _places([pick])
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert set(signs) < legend


def test_front_points_over_a_limit_are_hollow():
    figure = front_figure(study(60), HEADER)
    marks = {c.get_label(): c for c in figure.axes[0].collections}
    hollow, full = marks["front, over a limit"], marks["front, fits the board"]
    assert np.allclose(hollow.get_facecolors(), 1)
    assert not np.allclose(full.get_facecolors()[:, :3], 1)


def test_colour_follows_working_memory():
    rows = study(60)
    figure = front_figure(rows, HEADER)
    marks = {c.get_label(): c for c in figure.axes[0].collections}
    full = marks["front, fits the board"]
    memory = {
        (r["model_size_nonzero"], round(100 * r["validation_error"], 6)): r
        for r in rows
        if r["on_front"]
    }
    values = [
        memory[(x, round(y, 6))]["input_output"] for x, y in full.get_offsets().data
    ]
    # viridis grows lighter all the way, so brightness must rank as memory does.
    light = full.get_facecolors()[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert len(values) > 5
    order = np.argsort(values)
    assert np.all(np.diff(light[order]) >= -1e-9)


def test_step_line_is_the_lower_left_boundary():
    points = np.random.default_rng(0).random((200, 2))
    corners = step_line(points)
    beaten = [
        any(np.all(other <= p) and np.any(other < p) for other in points)
        for p in points
    ]
    expected = points[~np.array(beaten)]
    assert np.array_equal(corners, expected[np.argsort(expected[:, 0])])
    assert step_line(np.zeros((0, 2))).shape == (0, 2)


def test_step_line_of_the_picture_takes_what_fits():
    rows = study(60)
    fitting = [r for r in rows if r["on_front"] and r["feasible"]]
    (line,) = [
        one
        for one in front_figure(rows, HEADER).axes[0].lines
        if str(one.get_label()).startswith("lowest")
    ]
    x, y = line.get_data()
    assert line.get_linestyle() == "-"
    for size, error in zip(x[1:-1], y[1:-1], strict=True):
        # The lowest error among what fits and is no larger.
        lowest = min(
            r["validation_error"] for r in fitting if r["model_size_nonzero"] <= size
        )
        assert error == pytest.approx(100 * lowest)


def test_the_flash_limit_is_a_line_where_it_is_in_sight():
    board = {"name": "b", "ram_bytes": 2048, "flash_bytes": 1500}
    rows = [row(0, model_size_nonzero=1000, on_front=True), row(1)]
    figure = front_figure(rows, HEADER | {"board": board})
    assert [1500, 1500] in [list(line.get_xdata()) for line in figure.axes[0].lines]
    low, high = figure.axes[0].get_xlim()
    assert low < 1000 and 1500 < high
    assert "flash limit 1,500" in _words(figure)


@pytest.mark.parametrize(("flash", "arrow"), [(32768, "→"), (10, "←")])
def test_a_flash_limit_out_of_sight_is_told_in_words(flash, arrow):
    board = {"name": "b", "ram_bytes": 2048, "flash_bytes": flash}
    figure = front_figure([row(0, on_front=True)], HEADER | {"board": board})
    assert f"flash limit {flash:,} {arrow}" in _words(figure)
    low, high = figure.axes[0].get_xlim()
    assert not low <= flash <= high


def test_no_board_draws_no_limit():
    figure = front_figure(study(20), HEADER | {"board": None})
    assert not any("limit " in text for text in _words(figure))


@pytest.mark.parametrize(
    ("sizes", "scale"), [((100, 700), "linear"), ((100, 900), "log")]
)
def test_the_axis_is_logarithmic_when_the_range_asks(sizes, scale):
    rows = mark_front([row(n, model_size_nonzero=s) for n, s in enumerate(sizes)])
    axes = front_figure(rows, HEADER).axes[0]
    assert axes.get_xscale() == scale
    low, high = axes.get_xlim()
    assert low < min(sizes) and max(sizes) < high


def test_errors_and_sizes_of_zero_are_shown():
    rows = mark_front(
        [
            row(0, validation_error=0.0, model_size_nonzero=5000),
            row(1, validation_error=0.9, model_size_nonzero=0),
        ]
    )
    axes = front_figure(rows, HEADER).axes[0]
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] < 0
    assert axes.get_xlim()[0] < 1


def test_the_words_name_data_board_trials_and_models():
    rows = [*study(30), failed(30)]
    figure = front_figure(rows, HEADER)
    lost = sum(r["status"] == "failed" for r in rows)
    words = _words(figure)
    assert "Pareto front on digits for uno" in words
    assert any(w.startswith(f"31 trials · {lost} failed · ") for w in words)
    assert "input_output\n(bytes)" in words
    assert "nonzero" in figure.axes[0].get_xlabel()
    pick = choose_pick(rows, HEADER)
    error = f"{100 * pick['validation_error']:.2f} %"
    assert f"trial {pick['index']}\n{error}" in words
    assert any(w.startswith(f"★ pick: trial {pick['index']}, {error}") for w in words)


def test_other_models_are_named():
    header = HEADER | {"memory_model": "input_weights", "size_model": "dense"}
    figure = front_figure(study(20), header)
    assert "input_weights\n(bytes)" in _words(figure)
    assert "all values" in figure.axes[0].get_xlabel()
    with pytest.raises(ReportError, match="memory_model is 'ram'"):
        front_figure(study(20), HEADER | {"memory_model": "ram"})


@pytest.mark.parametrize("seed", range(4))
def test_labels_cover_neither_each_other_nor_the_front(seed):
    rows = study(60, seed=seed)
    figure = front_figure(rows, HEADER)
    axes = figure.axes[0]
    front = [r for r in rows if r["on_front"]]
    names = [t for t in axes.texts if t.get_text().isdigit()]
    pick = [t for t in axes.texts if t.get_text().startswith("trial ")]
    assert len(names) >= min(len(front) - 1, 5) and len(pick) == 1
    boxes = [labels.text_box(t) for t in names + pick]
    for n, box in enumerate(boxes):
        for other in boxes[:n]:
            assert Bbox.intersection(box, other) is None
        assert axes.get_window_extent().padded(1).count_contains(box.corners()) == 4
    spots = labels.boxes_around(axes, np.array(sorted(_places(front))), 4)
    for box in boxes:
        assert not any(Bbox.intersection(box, spot) for spot in spots)


def test_words_stay_inside_the_picture():
    board = {"name": "stm32vldiscovery", "ram_bytes": 8192, "flash_bytes": 131072}
    header = HEADER | {"board": board, "memory_model": "planned_arena"}
    rows = study(60, size_log2=(8, 20))
    for r in rows:
        r["planned_arena"] = r["input_output"] and r["input_output"] * 20
    header["dataset"] = {"name": "folder:/some/where/" + "deep/" * 30}
    figure = front_figure(rows, header)
    figure.canvas.draw()
    for axes in figure.axes:
        for text in axes.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, text.get_text()
            assert box.y0 >= 0 and box.y1 <= figure.bbox.y1, text.get_text()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "No trial has finished yet."),
        ([failed(0, "loss became NaN")], "The trial failed:\n  1 ×  loss became NaN"),
        (
            [failed(n, "a" if n else "b\nc") for n in range(4)],
            "All 4 trials failed:\n  3 ×  a\n  1 ×  b c",
        ),
        ([failed(n, f"r{n}") for n in range(7)], "and 3 other reasons"),
    ],
)
def test_nothing_to_plot_is_said(rows, words):
    figure = front_figure(rows, HEADER)
    assert not figure.axes
    assert any(words in text for text in _words(figure))


def test_nothing_fits_is_said_and_the_line_is_dashed():
    rows = study(40, seed=2, ram=60)
    board = {"name": "tiny", "ram_bytes": 60, "flash_bytes": 32768}
    figure = front_figure(rows, HEADER | {"board": board})
    assert "no pick: none fits the board" in _words(figure)
    assert "limit 60\nbelow the scale" in _words(figure)
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert lines["lowest error at this size, over the limits"].get_linestyle() == "--"


@pytest.mark.parametrize("name", ["$x^$ _a_ {", "数字", "a\\b"])
def test_odd_names_are_drawn_as_they_are(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_front(tmp_path / "f.png", study(10), HEADER | {"dataset": {"name": name}})
        plot_front(tmp_path / "g.png", [], HEADER | {"dataset": {"name": name}})
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_the_file_is_a_sharp_picture_with_colours_on_white(tmp_path):
    plot_front(tmp_path / "front.png", study(60), HEADER)
    pixels = imread(io.BytesIO((tmp_path / "front.png").read_bytes()))[..., :3]
    height, width, _ = pixels.shape
    assert (width, height) == (1344, 928)
    white = np.mean(np.all(pixels > 0.99, -1))
    coloured = np.mean(np.ptp(pixels, axis=-1) > 0.3)
    assert 0.8 < white < 0.97 and 0.01 < coloured < 0.1
