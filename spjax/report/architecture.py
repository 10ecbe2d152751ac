"""One line that says what a network is, from the JSON object of its genome.

Signs, in the order of the data's way through the network:

====================  ==========================================================
``÷2``                the image is averaged over squares of side 2 first
``[in→d16]``          side branch: a dense layer of 16 units fed by the input
``c5x5x12/2``         regular convolution, 5x5 kernel, 12 channels, stride 2
``s3x3x8``            separable convolution (depthwise, then 1x1)
``r50%c3x3x8``        1x1 convolution removing 50 % of the channels, then regular
``v``, ``bn``         padding VALID (SAME is not marked), batch normalisation
``relu``              ReLU
``res(a · b)``        the input of ``a`` is added to the output of ``b``
``max2, avg2, gap``   pooling with window 2; global average pooling
``[→d16]``            side branch fed by the block's output
``d32``               hidden dense layer of 32 units
====================  ==========================================================

The classifier, which every network has, is not written.
"""

from collections.abc import Mapping
from typing import Any

_PREFIX = {"regular": "c", "separable": "s"}
_POOL = {"max": "max", "average": "avg"}


def describe(genome: Mapping[str, Any] | None) -> str:
    """Returns the one-line form of a genome's JSON object.

    Args:
      genome: the object as `spjax.genomes` writes it. Genes that are absent are
        passed over, so that an older result can still be shown.

    Returns:
      For instance ``÷2 · c5x5x12/2 bn relu · max2 · d32``; ``?`` without a genome.
    """
    if not genome:
        return "?"
    parts = []
    if genome.get("downsample", 1) > 1:
        parts.append(f"÷{genome['downsample']}")
    if genome.get("input_branch"):
        parts.append(f"[in→d{genome['input_branch']}]")
    for block in genome.get("blocks") or ():
        parts.extend(_block(block))
    parts.extend(f"d{units}" for units in genome.get("dense") or ())
    return " · ".join(parts) or "classifier alone"


def _block(block: Mapping[str, Any]) -> list[str]:
    parts = [_conv(conv) for conv in block.get("convs") or ()]
    if block.get("residual") and len(parts) > 1:
        parts[:2] = [f"res({parts[0]} · {parts[1]})"]
    pool = block.get("pool") or {}
    if pool.get("kind") == "global_average":
        parts.append("gap")
    elif pool.get("kind") in _POOL:
        parts.append(f"{_POOL[pool['kind']]}{pool.get('window', '')}")
    if block.get("branch"):
        parts.append(f"[→d{block['branch']}]")
    return parts


def _conv(conv: Mapping[str, Any]) -> str:
    prefix = _PREFIX.get(conv.get("kind", "regular"))
    if prefix is None:
        prefix = f"r{100 * conv.get('reduction', 0):.0f}%c"
    kernel = conv.get("kernel", "?")
    text = f"{prefix}{kernel}x{kernel}x{conv.get('channels', '?')}"
    if conv.get("stride", 1) > 1:
        text += f"/{conv['stride']}"
    if conv.get("padding") == "VALID":
        text += " v"
    if conv.get("batch_norm"):
        text += " bn"
    if conv.get("relu"):
        text += " relu"
    return text
