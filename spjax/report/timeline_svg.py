"""Working memory over the steps of an inference, as inline SVG.

One column per step, one block per buffer at its place in the memory, from the step
that writes it to the last one that needs it. Where an output lies over an input that
dies in the same step, both show.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

_COLOURS = ("#8cb3d9", "#f6b26b", "#93c47d", "#c9a6d9", "#7fc9c2", "#f2d675")
_INPUT = "#c9ced4"
_INK, _FAINT, _LIMIT = "#1f2933", "#9aa5b1", "#c2255c"
_STEP, _LEFT, _TOP, _HIGH, _NAMES = 52, 54, 26, 150, 96


def timeline_svg(timeline: Mapping[str, Any] | None, limit: int | None = None) -> str:
    """Returns an ``<svg>`` element that shows who occupies the memory, and when.

    Args:
      timeline: ``arena``, the length of the memory in bytes; ``steps``, the names of
        the operations in order of execution; ``alive``, the bytes in use at each step;
        ``buffers``, dicts of ``name``, ``bytes``, ``offset`` (bytes), ``first`` and
        ``last`` (steps, from 0, inclusive) and ``given`` (whether it is the image).
      limit: the board's bytes, named beside the arena's; None for none.

    Returns:
      The element's text, without references to anything outside itself; empty without
      a timeline.
    """
    if not timeline or not timeline["steps"]:
        return ""
    steps, arena = timeline["steps"], max(timeline["arena"], 1)
    width, base = _LEFT + _STEP * len(steps) + 90, _TOP + _HIGH
    height = base + _NAMES
    title = f"planned_arena {timeline['arena']:,} bytes"
    if limit is not None:
        title += f" of {limit:,}"
    parts = [
        f'<svg class="memory" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="memory by step">',
        _text(2, 11, title, "start"),
        f'<path d="M{_LEFT},{_TOP} V{base} H{_LEFT + _STEP * len(steps)}" fill="none" '
        f'stroke="{_FAINT}"/>',
        _text(_LEFT - 5, _TOP + 5, f"{timeline['arena']:,}", "end"),
        _text(_LEFT - 5, base, "0", "end"),
    ]
    born = sorted(timeline["buffers"], key=lambda b: (b["first"], b["offset"]))
    for rank, buffer in enumerate(b for b in born if b["bytes"]):
        parts.append(_block(buffer, rank, arena, base))
    parts.append(
        f'<path d="M{_LEFT},{_TOP} h{_STEP * len(steps)}" stroke="{_LIMIT}" '
        f'stroke-dasharray="4 2"/>'
    )
    parts += _below(steps, timeline["alive"], base)
    return "".join(parts) + "</svg>"


def _block(buffer: Mapping[str, Any], rank: int, arena: int, base: float) -> str:
    x = _LEFT + _STEP * buffer["first"]
    wide = _STEP * (buffer["last"] - buffer["first"] + 1)
    high = _HIGH * buffer["bytes"] / arena
    y = base - _HIGH * buffer["offset"] / arena - high
    colour = _INPUT if buffer.get("given") else _COLOURS[rank % len(_COLOURS)]
    words = f"{buffer['name']}: {buffer['bytes']:,} bytes at {buffer['offset']:,}"
    label = ""
    if high > 11:
        label = _text(x + wide / 2, y + high / 2 + 4, f"{buffer['bytes']:,}", "middle")
    return (
        f'<rect x="{x + 1}" y="{y:.1f}" width="{wide - 2}" height="{high:.1f}" '
        f'fill="{colour}" fill-opacity="0.8" stroke="{_INK}" stroke-width="0.6">'
        f"<title>{html.escape(words)}</title></rect>{label}"
    )


def _below(steps: Sequence[str], alive: Sequence[int], base: float) -> list[str]:
    """The bytes in use at each step, and the steps' names."""
    parts, peak = [], max(alive, default=0)
    for step, (name, count) in enumerate(zip(steps, alive, strict=True)):
        x = _LEFT + _STEP * (step + 0.5)
        weight = ' font-weight="bold"' if count == peak else ""
        parts.append(_text(x, base + 13, f"{count:,}", "middle", weight))
        short = name if len(name) <= 16 else "…" + name[-15:]
        turn = f' transform="rotate(-45 {x:g} {base + 26:g})"'
        parts.append(_text(x, base + 26, short, "end", turn))
    x = _LEFT + _STEP * len(steps) + 6
    return [*parts, _text(x, base + 13, "bytes alive", "start")]


def _text(x: float, y: float, words: str, side: str, more: str = "") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="10.5" fill="{_INK}" '
        f'text-anchor="{side}"{more}>{html.escape(words)}</text>'
    )
