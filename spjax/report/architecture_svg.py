"""A picture of a network as inline SVG, from the JSON object of its genome.

The data flows from left to right through one box per layer; a residual is an arc
over the boxes that it skips, a side branch a box below its source that joins before
the classifier. Under a box of the main row stands the shape of what comes out of it,
if it is known.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_WIDTH, _HEIGHT, _GAP = 84, 50, 18
_TOP, _DROP = 26, 18
_COLOURS = {
    "input": "#e4e7eb",
    "conv": "#c5dcf5",
    "pool": "#d3ecd2",
    "dense": "#f6e3bd",
    "branch": "#f3d9e4",
    "classifier": "#e4e7eb",
}


class _Box(NamedTuple):
    kind: str
    lines: tuple[str, ...]
    # How many boxes back the residual that ends here began; 0 for none.
    skip: int = 0
    # The column whose output feeds this side branch; None in the main row.
    source: int | None = None
    # What the names of its operations begin with.
    name: str = ""


def architecture_svg(
    genome: Mapping[str, Any] | None,
    classes: int | None = None,
    layers: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Returns an ``<svg>`` element that shows the network.

    Args:
      genome: the object as `spjax.genomes` writes it; genes that are absent are
        passed over.
      classes: units of the classifier, if known.
      layers: rows of the network's operations, with ``name`` and ``output_shape``
        ([1, height, width, channels] or [1, units]), as `spjax.networks` names them:
        ``block0_conv1/conv``, ``block0_pool``, ``dense0``... They may be of the network
        as it is deployed, with fewer channels than the genome has.

    Returns:
      The element's text, without references to anything outside itself; empty
      without a genome.
    """
    if not genome:
        return ""
    main, branches = _boxes(genome, classes)
    shapes = {str(row.get("name")): row.get("output_shape") for row in layers}
    width = len(main) * (_WIDTH + _GAP) - _GAP + 4
    height = _TOP + _HEIGHT + 16 + bool(branches) * (_DROP + _HEIGHT + 10)
    parts = [
        f'<svg class="net" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="architecture">'
    ]
    for column, box in enumerate(main):
        if column:
            parts.append(_path(f"M{_x(column) - _GAP},{_middle()} h{_GAP}"))
        if box.skip:
            start, end = _x(column - box.skip + 1) - _GAP / 2, _x(column) + _WIDTH + 9
            parts.append(
                _path(
                    f"M{start},{_middle()} V{_TOP - 14} H{end} V{_middle()}",
                    dashed=True,
                )
            )
        parts.append(_draw(box, _x(column), _TOP))
        parts.append(_shape(box, _x(column), _TOP + _HEIGHT + 12, shapes))
    low = _TOP + _HEIGHT + _DROP
    rail, into = low + _HEIGHT + 10, _x(len(main) - 1) + _WIDTH / 2
    for box in branches:
        across = _x(box.source) + _WIDTH / 2
        parts.append(_path(f"M{across},{_TOP + _HEIGHT} V{low}"))
        parts.append(
            _path(f"M{across},{low + _HEIGHT} V{rail} H{into} V{_TOP + _HEIGHT}")
        )
        parts.append(_draw(box, _x(box.source), low))
    return "".join(parts) + "</svg>"


def _boxes(
    genome: Mapping[str, Any], classes: int | None
) -> tuple[list[_Box], list[_Box]]:
    """Returns the boxes of the main row and those of the side branches."""
    factor = genome.get("downsample", 1)
    shrunk = (f"mean {factor}x{factor}",) if factor > 1 else ()
    main, branches = [_Box("input", ("image", *shrunk))], []
    if genome.get("input_branch"):
        branches.append(_branch(genome["input_branch"], 0))
    for number, block in enumerate(genome.get("blocks") or ()):
        here = f"block{number}_"
        convs = block.get("convs") or ()
        for place, conv in enumerate(convs):
            ends_here = block.get("residual") and place == 1
            # A sum ends the residual: its shape is that of the convolution.
            main.append(
                _Box(
                    "conv",
                    _conv_lines(conv),
                    skip=2 if ends_here else 0,
                    name=f"{here}conv{place}/",
                )
            )
        pool = block.get("pool") or {}
        if pool.get("kind", "none") != "none":
            window = pool.get("window", "?")
            whole = pool["kind"] == "global_average"
            size = "global" if whole else f"{window}x{window}"
            kind = pool["kind"].removeprefix("global_")
            main.append(_Box("pool", (kind, size), name=f"{here}pool"))
        if block.get("branch"):
            branches.append(_branch(block["branch"], len(main) - 1))
    main += [
        _Box("dense", ("dense", f"{n}", "relu"), name=f"dense{place}")
        for place, n in enumerate(genome.get("dense") or ())
    ]
    units = f"{classes}" if classes else ""
    main.append(_Box("classifier", ("classes", units), name="classifier"))
    return main, branches


def _branch(units: int, source: int) -> _Box:
    return _Box("branch", ("dense", f"{units}", "relu"), source=source)


def _conv_lines(conv: Mapping[str, Any]) -> tuple[str, ...]:
    kind, kernel = conv.get("kind", "regular"), conv.get("kernel", "?")
    name = {"regular": "conv", "separable": "sep."}.get(kind, "1x1, conv")
    step = f" /{conv['stride']}" if conv.get("stride", 1) > 1 else ""
    valid = " valid" if conv.get("padding") == "VALID" else ""
    after = ["bn"] * bool(conv.get("batch_norm")) + ["relu"] * bool(conv.get("relu"))
    return (
        f"{name} {kernel}x{kernel}{step}",
        f"{conv.get('channels', '?')} channels",
        " ".join(after) + valid,
    )


def _draw(box: _Box, x: float, y: float) -> str:
    lines = [line for line in box.lines if line]
    step = 14
    first = y + _HEIGHT / 2 + 4 - step * (len(lines) - 1) / 2
    words = "".join(
        f'<text x="{x + _WIDTH / 2:g}" y="{first + step * n:g}" font-size="11" '
        f'text-anchor="middle">{html.escape(line)}</text>'
        for n, line in enumerate(lines)
    )
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{_COLOURS[box.kind]}" stroke="#9aa5b1"/>{words}'
    )


def _shape(box: _Box, x: float, y: float, shapes: Mapping[str, Any]) -> str:
    """The shape of the last of the box's operations, without the batch; or nothing."""
    found = [s for name, s in shapes.items() if box.name and name.startswith(box.name)]
    if not found or not found[-1]:
        return ""
    words = "x".join(str(n) for n in found[-1][1:])
    return (
        f'<text x="{x + 2:g}" y="{y:g}" font-size="9.5" fill="#616e7c" '
        f'text-anchor="start">{html.escape(words)}</text>'
    )


def _path(way: str, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<path d="{way}" fill="none" stroke="#616e7c" stroke-width="1.3"{dash}/>'


def _x(column: int) -> float:
    return 2 + column * (_WIDTH + _GAP)


def _middle() -> float:
    return _TOP + _HEIGHT / 2
