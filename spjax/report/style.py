"""How the pictures of this room look: colours, axes in bytes and in percent.

Working memory is coloured by the perceptually even `viridis` map without its pale
end: it reads the same to colour-blind eyes and in grey, and shows on white.
"""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib import colormaps, colors, ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spjax.report.files import write_bytes

DPI = 160
INK = "#1f2933"
FAINT = "#7b8794"
GREY = "#b4bcc4"
LIMIT = "#c2255c"
MEMORY_MAP = colors.ListedColormap(
    colormaps["viridis"](np.linspace(0.0, 0.9, 256)), "memory"
)


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of so many inches, outside pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def two_panels() -> tuple[Figure, tuple[Axes, Axes]]:
    """Returns a figure with two dressed axes side by side, and room for a headline."""
    figure = new_figure(10.5, 4.4)
    grid = figure.add_gridspec(
        1, 2, left=0.07, right=0.98, top=0.83, bottom=0.13, wspace=0.16
    )
    panels = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    for axes in panels:
        dress(axes)
    return figure, panels


@contextlib.contextmanager
def quiet_glyphs() -> Iterator[None]:
    """Silences matplotlib on signs that the font lacks, which it draws as boxes.

    A data set may have any name.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def png(figure: Figure) -> bytes:
    """Returns the figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with quiet_glyphs():
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes the figure as PNG, replacing the file in one step.

    Raises:
      ReportError: if the file cannot be written.
    """
    write_bytes(path, png(figure))


def dress(axes: Axes) -> None:
    """Gives axes the room's plain look: no box, faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(which="both", colors=FAINT, labelcolor=INK, labelsize=9)
    axes.tick_params(which="minor", length=2)
    axes.grid(True, color="#e4e7eb", linewidth=0.7)
    axes.set_axisbelow(True)


def headline(axes: Axes, title: str, *notes: str) -> None:
    """Writes a bold title and lines of facts above axes, flush left."""
    for height, note in enumerate(reversed(notes)):
        _above(axes, note, 10 + 15 * height, 9, "normal")
    _above(axes, title, 12 + 15 * len(notes), 12.5, "bold")


def _above(axes: Axes, text: str, height: float, size: float, weight: str) -> None:
    label = axes.annotate(
        text,
        (0, 1),
        (0, height),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=size,
        fontweight=weight,
        color=INK if weight == "bold" else FAINT,
        annotation_clip=False,
    )
    label.set_parse_math(False)


def message(title: str, lines: Sequence[str]) -> Figure:
    """Returns a picture that holds words alone, where there is nothing to plot."""
    figure = new_figure(8, 2.6)
    for text, height, size, colour in (
        (title, 0.76, 13, INK),
        ("\n".join(lines), 0.68, 10, FAINT),
    ):
        label = figure.text(
            0.06,
            height,
            text,
            va="top" if colour == FAINT else "bottom",
            fontsize=size,
            fontweight="bold" if colour == INK else "normal",
            color=INK,
            linespacing=1.6,
        )
        label.set_parse_math(False)
    return figure


def scale_bytes(axis: Axis, low: float, high: float) -> tuple[float, float]:
    """Sets an axis to bytes from ``low`` to ``high``, with some air at both ends.

    Logarithmic if the range spans more than a factor of eight.

    Returns:
      The limits of the axis.
    """
    low, high = max(low, 1.0), max(high, 1.0)
    if high / low > 8:
        air = (high / low) ** 0.06
        ends = low / air, high * air
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        _log_ticks(axis, np.log10(ends[1] / ends[0]))
    else:
        air = 0.1 * (high - low) or 0.28 * high
        ends = max(low - air, 0.0), high + air
        steps = [1, 2, 5, 10]
        axis.set_major_locator(ticker.MaxNLocator(7, integer=True, steps=steps))
    axis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.axes.set(**{f"{axis.axis_name}lim": ends})
    return ends


def scale_percent(axis: Axis, low: float, high: float) -> tuple[float, float]:
    """Sets an axis to percent, as `scale_bytes`; linear if ``low`` is zero.

    There is more air below than above: the best trials lie at the bottom, and so
    does the label of the pick.
    """
    if low > 0 and high / low > 8:
        air = (high / low) ** 0.07
        ends = low / air**2, high * air
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        _log_ticks(axis, np.log10(ends[1] / ends[0]))
    else:
        air = 0.1 * (high - low) or max(0.5 * high, 1.0)
        # Below zero only so far that a point at zero is seen whole.
        ends = max(low - 1.5 * air, -0.6 * air), high + air
        axis.set_major_locator(ticker.MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:,.4g}"))
    axis.axes.set(**{f"{axis.axis_name}lim": ends})
    return ends


def _log_ticks(axis: Axis, decades: float) -> None:
    subs = (1, 2, 5) if decades < 2.6 else (1,)
    axis.set_major_locator(ticker.LogLocator(subs=subs, numticks=20))
    axis.set_minor_locator(ticker.LogLocator(subs=range(1, 10), numticks=50))
    axis.set_minor_formatter(ticker.NullFormatter())
