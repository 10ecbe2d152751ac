import numpy as np
from matplotlib.transforms import Bbox

from spjax.report import labels, style


def _axes():
    axes = style.new_figure(4, 4).add_axes([0, 0, 1, 1])
    axes.set(xlim=(0, 1), ylim=(0, 1))
    return axes


def test_boxes_are_centred_squares():
    axes = _axes()
    (box,) = labels.boxes_around(axes, np.array([[0.5, 0.25]]), 9)
    side = 2 * 9 * style.DPI / 72
    assert np.allclose([box.width, box.height], side)
    middle = [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]
    assert np.allclose(middle, axes.transData.transform((0.5, 0.25)))
    assert labels.boxes_around(axes, np.zeros((0, 2)), 9) == []


def test_a_free_label_goes_to_the_upper_right():
    axes = _axes()
    label = labels.place(axes, "name", (0.5, 0.5), [], distances=(8,))
    box = labels.text_box(label)
    x, y = axes.transData.transform((0.5, 0.5))
    assert box.x0 > x and box.y0 > y


def test_a_label_keeps_inside_and_off_obstacles():
    axes = _axes()
    own = labels.boxes_around(axes, np.array([[0.97, 0.97]]), 3)
    label = labels.place(axes, "long name", (0.97, 0.97), own, distances=(8,))
    box = labels.text_box(label)
    assert axes.get_window_extent().count_contains(box.corners()) == 4
    assert Bbox.intersection(box, own[0]) is None


def test_a_label_that_must_be_free_is_left_out():
    axes = _axes()
    wall = [Bbox([[0, 0], [10_000, 10_000]])]
    arguments = (axes, "name", (0.5, 0.5), wall)
    assert labels.place(*arguments, distances=(8,), must_be_free=True) is None
    assert not axes.texts
    assert labels.place(*arguments, distances=(8,)) is not None
    assert len(axes.texts) == 1


def test_the_least_cover_is_taken():
    axes = _axes()
    x, y = axes.transData.transform((0.5, 0.5))
    wall = [Bbox([[0, 0], [x + 500, y]]), Bbox([[0, y], [x, y + 500]])]
    box = labels.text_box(labels.place(axes, "n", (0.5, 0.5), wall, distances=(8,)))
    assert box.x0 > x and box.y0 > y
    wall = [Bbox([[x, 0], [x + 500, y + 500]]), Bbox([[0, 0], [x, y]])]
    box = labels.text_box(labels.place(axes, "n", (0.5, 0.5), wall, distances=(8,)))
    assert box.x1 < x and box.y0 > y


def test_text_box_leaves_the_arrow_out():
    axes = _axes()
    label = axes.annotate("n", (0.9, 0.9), (0.1, 0.1), arrowprops={"arrowstyle": "-"})
    assert labels.text_box(label).x1 < axes.transData.transform((0.3, 0))[0]
