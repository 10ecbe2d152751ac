"""Small charts as inline SVG: curves and memory by layer."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from spjax.report.figures import is_number

_COLOURS = ("#2a788e", "#c2255c", "#5f3dc4", "#e8590c")
_INK, _FAINT = "#1f2933", "#9aa5b1"


def curves_svg(
    history: Sequence[Mapping[str, Any]], keys: Sequence[str], along: str = "epoch"
) -> str:
    """Returns a line chart of some figures, as of a training over its epochs.

    Args:
      history: one dict per epoch; ``along`` is its place on the axis, else its rank.
      keys: which figures, one line each. Epochs without a finite value leave a gap.
      along: key of the places, and name of the axis.

    Returns:
      An ``<svg>`` element's text; empty if no epoch has a value.
    """
    lines = {key: _pieces(history, key, along) for key in keys}
    lines = {key: pieces for key, pieces in lines.items() if pieces}
    points = [point for pieces in lines.values() for piece in pieces for point in piece]
    if not points:
        return ""
    width, height, left, top, right, bottom = 330, 150, 48, 10, 8, 36
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(0.0, *(y for _, y in points)), max(y for _, y in points)
    across = (width - left - right) / ((last - first) or 1)
    up = (height - top - bottom) / ((high - low) or 1)
    base = height - bottom
    parts = [
        _open(width, height, "curves"),
        f'<path d="M{left},{top} V{base} H{width - right}" fill="none" '
        f'stroke="{_FAINT}"/>',
        _text(left - 5, top + 8, f"{high:.3g}", "end"),
        _text(left - 5, base, f"{low:.3g}", "end"),
        _text(left, base + 13, _place(first), "middle"),
        _text(width - right, base + 13, _place(last), "end"),
        _text((left + width - right) / 2, base + 13, along, "middle"),
    ]
    start = left
    for colour, (key, pieces) in zip(_COLOURS, lines.items(), strict=False):
        for piece in pieces:
            places = " ".join(
                f"{left + (x - first) * across:.1f},{base - (y - low) * up:.1f}"
                for x, y in piece
            )
            # A round cap shows a piece of one epoch as a dot.
            parts.append(
                f'<polyline points="{places} {places.split()[-1]}" fill="none" '
                f'stroke="{colour}" stroke-width="1.8" stroke-linecap="round"/>'
            )
        words = key.replace("_", " ")
        parts.append(
            f'<rect x="{start}" y="{height - 9}" width="12" height="3" '
            f'fill="{colour}"/>' + _text(start + 16, height - 4, words, "start")
        )
        start += 30 + 6 * len(words)
    return "".join(parts) + "</svg>"


def memory_svg(
    layers: Sequence[Mapping[str, Any]], key: str, limit: int | None = None
) -> str:
    """Returns bars of working memory by layer, in program order.

    Args:
      layers: one dict per layer, with ``name`` and, in bytes, ``key``.
      key: the memory model.
      limit: the board's bytes, drawn as a line; None for none.

    Returns:
      An ``<svg>`` element's text; empty if no layer has the figure.
    """
    rows = [(str(row.get("name", "?")), row.get(key)) for row in layers]
    rows = [(name, value) for name, value in rows if is_number(value)]
    if not rows:
        return ""
    left, step, bar = 110, 17, 170
    peak = max(value for _, value in rows)
    high = max(peak, limit or 0) or 1
    width, height = left + bar + 60, 22 + step * len(rows)
    title = f"{key} (bytes by layer)"
    parts = [_open(width, height, "memory"), _text(2, 11, title, "start")]
    for n, (name, value) in enumerate(rows):
        y = 18 + step * n
        colour = "#2a788e" if value == peak else "#a9c9d1"
        short = name if len(name) <= 17 else "…" + name[-16:]
        parts.append(
            _text(left - 6, y + 10, short, "end")
            + f'<rect x="{left}" y="{y}" width="{bar * value / high:.1f}" '
            f'height="{step - 5}" fill="{colour}"/>'
            + _text(left + bar * value / high + 5, y + 10, f"{value:,}", "start")
        )
    if limit is not None:
        x = left + bar * limit / high
        parts.append(
            f'<path d="M{x:.1f},16 V{height}" stroke="#c2255c" stroke-dasharray="4 2"/>'
            + _text(width - 2, 11, f"limit {limit:,}", "end", "#c2255c")
        )
    return "".join(parts) + "</svg>"


def _pieces(
    history: Sequence[Mapping[str, Any]], key: str, along: str
) -> list[list[tuple[float, float]]]:
    """Returns the runs of epochs that have a finite value of ``key``."""
    pieces, open_piece = [], False
    for rank, epoch in enumerate(history):
        value = epoch.get(key)
        if not is_number(value):
            open_piece = False
            continue
        if not open_piece:
            pieces.append([])
        open_piece = True
        pieces[-1].append((float(epoch.get(along, rank)), float(value)))
    return pieces


def _place(value: float) -> str:
    return f"{value:g}" if value == round(value) else f"{value:.3g}"


def _open(width: float, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{label}">'
    )


def _text(x: float, y: float, words: str, side: str, colour: str = _INK) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="10.5" fill="{colour}" '
        f'text-anchor="{side}">{html.escape(words)}</text>'
    )
