"""The front as inline SVG: error against model size, coloured by working memory.

The quick sibling of `front_plot`, for a page that is written again and again while a
search runs: some milliseconds instead of most of a second. Both axes are logarithmic;
pointing at a mark tells the trial and its figures.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib import colors

from spjax.report import figures, style

Rows = Sequence[Mapping[str, Any]]

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 110, 14, 44
_LEAST_PERCENT = 0.01


class _Scale(NamedTuple):
    """A logarithmic axis from ``low`` to ``high``, drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Place of a value in pixels."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Values 1, 2 and 5 times powers of ten; powers alone where there are many."""
        first, last = math.floor(math.log10(self.low)), math.log10(self.high)
        powers = [10.0**n for n in range(first, math.ceil(last) + 1)]
        steps = (1, 2, 5) if last - first < 4 else (1,)
        values = [step * power for power in powers for step in steps]
        return [v for v in values if self.low <= v <= self.high]


def front_svg(rows: Rows, header: Mapping[str, Any]) -> str:
    """Returns an ``<svg>`` element of the trials and the front.

    Args:
      rows: all trials (see `spjax.report.figures`), failed ones too.
      header: facts of the run; names the memory and size models and the limits.

    Returns:
      The element's text, without references to anything outside itself; empty if no
      trial is completed.

    Raises:
      ReportError: if the header names an unknown model.
    """
    done = figures.measured(rows, header)
    if not done:
        return ""
    size, memory = figures.size_key(header), figures.memory_key(header)
    # A network pruned to nothing has size 0, which a logarithm cannot show.
    across = _scale([max(r[size], 1) for r in done], _LEFT, _WIDTH - _RIGHT)
    up = _scale([_percent(r) for r in done], _HEIGHT - _BOTTOM, _TOP)
    front = figures.front_of(done, header)
    colour = _colours([row[memory] for row in front or done])
    pick = figures.choose_pick(done, header)
    parts = [
        f'<svg class="front" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" aria-label="front">'
    ]
    parts += _axes(across, up, size)
    flash = figures.limits(header).flash_bytes
    if flash is not None and across.low <= flash <= across.high:
        parts.append(_path(f"M{across.at(flash):.1f},{_TOP} V{up.start}", style.LIMIT))
    on_front = {id(row) for row in front}
    # The front last, over the others.
    for row in sorted(done, key=lambda row: (id(row) in on_front, row is pick)):
        x, y = across.at(max(row[size], 1)), up.at(_percent(row))
        fits = bool(row.get("feasible"))
        shade = colour(row[memory]) if id(row) in on_front else style.GREY
        fill = f'fill="{shade}"' if fits else f'fill="none" stroke="{shade}"'
        if row is pick:
            fill += f' stroke="{style.INK}" stroke-width="2.2"'
        radius = 8 if row is pick else 5.5 if id(row) in on_front else 2.6
        words = (
            f"trial {figures.label_of(row)}: error {_percent(row):.2f} %, "
            f"{size} {row[size]:,} B, {memory} {row[memory]:,} B, "
            f"{figures.fit_text(row, header)}"
        )
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {fill}>'
            f"<title>{html.escape(words)}</title></circle>"
        )
    parts += _key([row[memory] for row in front or done], memory, colour)
    return "".join(parts) + "</svg>"


def _percent(row: Mapping[str, Any]) -> float:
    # A logarithm has no place for an error of nothing.
    return max(100 * row["validation_error"], _LEAST_PERCENT)


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    low, high = min(values), max(values)
    if high < 1.5 * low:  # A single place, or nearly so.
        low, high = low / 1.5, high * 1.5
    # Some air, so that no mark stands on an axis.
    air = (high / low) ** 0.04
    return _Scale(low / air, high * air, start, end)


def _colours(values: Sequence[float]):
    low, high = max(min(values), 1), max(max(values), 1)
    norm = colors.LogNorm(low, high) if high > low else colors.Normalize(low - 1, high)
    return lambda value: colors.to_hex(style.MEMORY_MAP(float(norm(max(value, 1)))))


def _axes(across: _Scale, up: _Scale, size: str) -> list[str]:
    parts = [
        _path(f"M{_LEFT},{_TOP} V{up.start} H{across.end}", style.FAINT),
        _text(_LEFT, _HEIGHT - 8, f"{size} (bytes)", "start"),
        _text(_LEFT + 6, _TOP + 10, "validation error (%)", "start"),
    ]
    for value in across.ticks():
        x = across.at(value)
        parts.append(_path(f"M{x:.1f},{up.start} v5", style.FAINT))
        parts.append(_text(x, up.start + 17, f"{value:,g}", "middle"))
    for value in up.ticks():
        y = up.at(value)
        parts.append(_path(f"M{_LEFT},{y:.1f} h-5", style.FAINT))
        parts.append(_text(_LEFT - 8, y + 4, f"{value:g}", "end"))
    return parts


def _key(values: Sequence[float], memory: str, colour) -> list[str]:
    """What the colours mean: the least and the most bytes, and steps between."""
    low, high = max(min(values), 1), max(max(values), 1)
    steps = sorted({round(low * (high / low) ** (n / 4)) for n in range(5)})
    x = _WIDTH - _RIGHT + 14
    parts = [
        _text(x, _TOP + 10, memory, "start"),
        _text(x, _TOP + 24, "bytes", "start"),
    ]
    for n, value in enumerate(steps):
        y = _TOP + 40 + 18 * n
        parts.append(f'<circle cx="{x + 5}" cy="{y}" r="5.5" fill="{colour(value)}"/>')
        parts.append(_text(x + 16, y + 4, f"{value:,}", "start"))
    return parts


def _path(way: str, colour: str) -> str:
    return f'<path d="{way}" fill="none" stroke="{colour}"/>'


def _text(x: float, y: float, words: str, side: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" fill="{style.INK}" '
        f'text-anchor="{side}">{html.escape(words)}</text>'
    )
