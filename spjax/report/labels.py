"""Where to write a label so that it covers nothing.

Greedy: the first of a ring of places around the point that lies inside the axes and
off all boxes in the way; else the place with the least cover and distance.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox


def boxes_around(axes: Axes, points: np.ndarray, radius: float) -> list[Bbox]:
    """Returns a square box in pixels around each point.

    Args:
      axes: axes with their final limits.
      points: (n, 2) data coordinates.
      radius: half the side of a box, in points (1/72 inch).
    """
    if not len(points):
        return []
    half = radius * axes.figure.dpi / 72
    centres = axes.transData.transform(points)
    return [Bbox([centre - half, centre + half]) for centre in centres]


def place(
    axes: Axes,
    text: str,
    point: tuple[float, float],
    obstacles: Sequence[Bbox],
    *,
    distances: Sequence[float],
    must_be_free: bool = False,
    **style: object,
) -> Annotation | None:
    """Writes a label near a point.

    Args:
      axes: axes with their final limits and place in the figure.
      text: the label, taken as it is (no mathematics).
      point: data coordinates.
      obstacles: boxes in pixels that the label should not cover.
      distances: from the point to the label's edge, in points; nearest first.
      must_be_free: writes nothing if every place covers something.
      **style: passed to `Axes.annotate`.

    Returns:
      The label, or None if it had to be free and no place is.
    """
    label = axes.annotate(
        text, point, (0, 0), textcoords="offset points", zorder=9, **style
    )
    label.set_parse_math(False)
    inside = axes.get_window_extent()
    best, best_cover = None, np.inf
    for distance in distances:
        for angle in np.deg2rad([45, 0, -45, 135, 180, -135, 90, -90, 20, 160]):
            across, up = np.cos(angle), np.sin(angle)
            label.set_position((distance * across, distance * up))
            label.set_horizontalalignment(_side(across, "left", "right", "center"))
            label.set_verticalalignment(_side(up, "bottom", "top", "center"))
            cover = _cover(text_box(label), inside, obstacles)
            # A label far away is worse than one that hides a bit of line.
            cover += 2 * (distance - distances[0])
            if cover < best_cover:
                state = label.get_position(), label.get_ha(), label.get_va()
                best, best_cover = state, cover
    if must_be_free and best_cover > 0:
        label.remove()
        return None
    label.set_position(best[0])
    label.set_horizontalalignment(best[1])
    label.set_verticalalignment(best[2])
    return label


def text_box(label: Annotation) -> Bbox:
    """Returns the pixels that a label covers, with its frame, without its arrow."""
    renderer = label.figure.canvas.get_renderer()
    label.update_positions(renderer)
    patch = label.get_bbox_patch()
    if patch is not None:
        label.update_bbox_position_size(renderer)
        return patch.get_window_extent(renderer)
    # The annotation's own extent would count its arrow too.
    return super(Annotation, label).get_window_extent(renderer)


def _cover(box: Bbox, inside: Bbox, obstacles: Sequence[Bbox]) -> float:
    outside = box.width * box.height - _overlap(box, inside)
    # Words cut off by the edge are worse than words over a point.
    cover = 20 * outside if outside > 1 else 0.0
    return cover + sum(_overlap(box, obstacle) for obstacle in obstacles)


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(width, 0.0) * max(height, 0.0)


def _side(part: float, plus: str, minus: str, none: str) -> str:
    return plus if part > 0.3 else minus if part < -0.3 else none
