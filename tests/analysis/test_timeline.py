"""The timeline: bytes per step, and a picture that shows every buffer."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread

from spjax.analysis import timeline
from spjax.analysis.plan import plan
from spjax.analysis.schedule import whole
from spjax.analysis.timeline import alive_bytes, draw_timeline
from tests.analysis import graphs


def _chain():
    operations = [("dense", [0], 40), ("elementwise", [1], 40), ("dense", [2], 10)]
    return graphs.program([20], operations, (3,))


def test_bytes_per_step_by_hand():
    assert alive_bytes(plan(whole(_chain(), sharing="none"))) == [60, 80, 50]
    assert alive_bytes(plan(whole(_chain(), sharing="in_place"))) == [60, 40, 50]


def test_bytes_per_step_equal_the_order_s_transients():
    rng = np.random.default_rng(0)
    for _ in range(20):
        made = plan(whole(graphs.random_program(rng, 9), sharing="none"))
        sizes = made.schedule.sizes
        names = [task.name for task in made.steps]
        wanted = graphs.transients(made.schedule.program, names, sizes, {})
        assert alive_bytes(made) == wanted


def test_picture_has_a_colour_per_buffer(tmp_path):
    path = tmp_path / "plan.png"
    draw_timeline(plan(whole(_chain())), path, title="A chain")
    image = imread(path)
    assert image.shape[0] > 300 and image.shape[1] > 300
    colours, counts = np.unique(
        (image[..., :3] * 255).astype(int).reshape(-1, 3), axis=0, return_counts=True
    )
    # Blocks are the large areas of one colour; four buffers, one of them shared.
    large = [c for c, n in zip(colours, counts, strict=True) if n > 2000]
    assert len(large) >= 5  # white and four blocks


def _texts(made):
    """What is written into the blocks, with the axes' positions."""
    figure = Figure()
    axes = figure.add_subplot()
    timeline._draw_blocks(axes, made, step=1.5)
    return {t.get_text(): t.get_position() for t in axes.texts}, axes


def test_labels_stand_where_nothing_else_lies():
    """20, 40, 40 in place, 10.

    o0 (steps 0 and 1) lies under o1 (1 and 2), which begins in its last step: o0's
    name stands in step 0, o1's in step 2.
    """
    made = plan(whole(_chain()))
    texts, axes = _texts(made)
    found = {text.split()[0]: position for text, position in texts.items()}
    assert found["o0"][0] == 0.5 and found["o1"][0] == 2.5
    born = sorted(made.buffers, key=lambda b: b.first)
    for buffer, patch in zip(born, axes.patches, strict=True):
        assert patch.get_width() == buffer.last - buffer.first + 1
        assert patch.get_height() == buffer.size


def test_nothing_is_written_where_it_does_not_fit():
    operations = [("dense", [0], 1000), ("dense", [1], 1)]
    texts, _ = _texts(plan(whole(graphs.program([500], operations, (2,)))))
    assert {text.split()[0] for text in texts} == {"i0", "o0"}
