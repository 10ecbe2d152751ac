"""The colour bar of working memory, with the board's limit marked on it."""

import numpy as np
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable

from spjax.report import style


def draw_memory_bar(
    bar: Axes, name: str, memory: np.ndarray, limit: int | None
) -> ScalarMappable:
    """Draws a vertical colour bar in bytes.

    Args:
      bar: narrow axes, to be filled by the bar.
      name: of the memory model, written above the bar.
      memory: (n,) bytes that the scale must cover, n > 0.
      limit: bytes of the board, or None. It widens the scale if it is near (within a
        factor of 1.5); farther off, it is noted in words under the bar.

    Returns:
      What turns bytes into colours.
    """
    low, high = max(np.min(memory), 1), max(np.max(memory), 1)
    marked = limit is not None and in_sight(limit, low, high)
    if marked:
        low, high = min(low, limit), max(high, limit)
    low, high = style.scale_bytes(bar.yaxis, low, high)
    norm = colors.LogNorm if bar.get_yscale() == "log" else colors.Normalize
    colour = ScalarMappable(norm(low, high), style.MEMORY_MAP)
    edges = colour.norm.inverse(np.linspace(0, 1, 257))
    bar.pcolormesh([0, 1], edges, np.arange(256)[:, None], cmap=style.MEMORY_MAP)
    bar.set(xlim=(0, 1), ylim=(low, high), xticks=[])
    bar.spines[:].set_visible(False)
    bar.yaxis.tick_right()
    bar.tick_params(which="both", colors=style.FAINT, labelcolor=style.INK, labelsize=9)
    bar.tick_params(which="minor", right=False)
    _note(bar, f"{name}\n(bytes)", (0, 1), (-2, 10), "bottom", style.INK)
    if marked:
        _mark(bar, colour, limit)
    elif limit is not None:
        side = "above" if limit > high else "below"
        words = f"limit {limit:,}\n{side} the scale"
        _note(bar, words, (0, 0), (-2, -20), "top", style.LIMIT)
    return colour


def in_sight(limit: float, low: float, high: float) -> bool:
    """Tells whether a limit is near enough to a range to be drawn with it."""
    return low / 1.5 <= limit <= high * 1.5


def _mark(bar: Axes, colour: ScalarMappable, limit: float) -> None:
    """Marks the limit across the bar, in place of ticks too near to it."""
    at = float(colour.norm(limit))
    low, high = bar.get_ylim()
    ticks = [
        tick
        for tick in bar.get_yticks()
        if low <= tick <= high and abs(float(colour.norm(tick)) - at) > 0.07
    ]
    bar.set_yticks(ticks)
    bar.axhline(limit, color="white", linewidth=4)
    bar.plot([-0.25, 1.25], [limit] * 2, color=style.LIMIT, lw=2, clip_on=False)
    bar.annotate(
        f"{limit:,}\nlimit",
        (1.25, limit),
        (3, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        fontweight="bold",
        color=style.LIMIT,
        annotation_clip=False,
    )


def _note(
    bar: Axes,
    text: str,
    place: tuple[float, float],
    offset: tuple[float, float],
    side: str,
    colour: str,
) -> None:
    bar.annotate(
        text,
        place,
        offset,
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9 if colour == style.INK else 8.5,
        va=side,
        color=colour,
        linespacing=1.3,
    )
