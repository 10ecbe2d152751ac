"""Random genomes.

Sizes (channels, units, learning rate) are drawn log-uniformly, so that each factor
of two is as likely as the next and small networks are common. The draw follows the
map through the network and only offers kernels, paddings and windows that fit it;
what bounds make impossible is drawn again, a limited number of times.

Strides above 1, global averages before the last block, side branches and layers
without ReLU are less likely than their opposites: drawn evenly, most networks would
lose the image after a few layers or do without nonlinearity.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from spjax.genomes import shapes
from spjax.genomes.bounds import Bounds, check_within
from spjax.genomes.canonical import canonical
from spjax.genomes.errors import GenomeError
from spjax.genomes.genome import Block, Conv, Genome, Pool, Training
from spjax.genomes.validate import check_input_shape, validate

_T = TypeVar("_T")
_TRIES = 200
# A downsampling that leaves fewer pixels a side is rare: an 8x8 digit mostly stays 8x8,
# while 28x28 may become 7x7.
_FEWEST_PIXELS = 7
_RARE = 0.03
_STEP_CHANCE = 0.15  # of a stride above 1
_BATCH_NORM_CHANCE = 0.75
_RELU_CHANCE = 0.85
_RESIDUAL_CHANCE = 0.3
_BRANCH_CHANCE = 0.1
# Odds of each pooling. Global averages end the image: rare before the last block.
_POOL_ODDS = {"none": 2.0, "max": 1.0, "average": 1.0, "global_average": _RARE}
_LAST_POOL_ODDS = {**_POOL_ODDS, "global_average": 1.0}


def random_genome(
    rng: np.random.Generator, input_shape: shapes.Shape, bounds: Bounds | None = None
) -> Genome:
    """Draws a genome.

    Args:
      rng: source of randomness; the draw depends on nothing else.
      input_shape: (height, width, channels) of the raw image.
      bounds: the space; None for the default `Bounds`.

    Returns:
      A canonical genome, valid for the image and within the bounds.

    Raises:
      GenomeError: if the bounds seem to admit no valid genome for this image.
    """
    check_input_shape(input_shape)
    bounds = bounds or Bounds()
    reason = None
    for _ in range(_TRIES):
        try:
            genome = canonical(_draw(rng, input_shape, bounds))
            validate(genome, input_shape)
            check_within(genome, bounds)
        except GenomeError as error:
            reason = error
        else:
            return genome
    raise GenomeError(
        f"no valid genome for images of shape {input_shape} in {_TRIES} draws; the "
        f"last one failed because {reason}: widen the bounds"
    ) from reason


def draw_downsample(
    rng: np.random.Generator, input_shape: shapes.Shape, bounds: Bounds
) -> int:
    """Draws a downsampling that fits the image; rarely one that leaves < 7 pixels."""
    side = min(input_shape[:2])
    low, high = bounds.downsample
    if low > side:
        raise GenomeError(f"bounds.downsample begins at {low}, above the image's side")
    factors = range(low, min(high, side) + 1)
    weights = [1.0 if side // d >= _FEWEST_PIXELS else _RARE for d in factors]
    return pick(rng, factors, weights)


def draw_block(
    rng: np.random.Generator, side: int, bounds: Bounds, *, last: bool
) -> Block:
    """Draws a block for a map whose smaller side is `side` pixels."""
    count = int(rng.integers(*bounds.num_convs, endpoint=True))
    residual = count > 1 and _flag(rng, bounds.residual, _RESIDUAL_CHANCE)
    convs = []
    for c in range(count):
        conv = draw_conv(rng, side, bounds, same=residual and c < 2)
        side = shapes.conv_output(conv, (side, side, 1), "conv")[0]
        convs.append(conv)
    pool = draw_pool(rng, side, bounds, last=last)
    return Block(tuple(convs), residual, pool, draw_branch(rng, bounds))


def draw_conv(
    rng: np.random.Generator, side: int, bounds: Bounds, *, same: bool = False
) -> Conv:
    """Draws a convolution for a map of `side` pixels; `same` asks for SAME padding."""
    low, high = bounds.kernel
    if "SAME" in bounds.paddings:
        # In a kernel of 2n and more some weights never meet a pixel of the map.
        high = max(low, min(high, 2 * side - 1))
    else:
        high = min(high, 1 if same else side)
    if low > high:
        raise GenomeError(
            f"no kernel within {bounds.kernel} fits a map of {side} pixels"
        )
    kernel = int(rng.integers(low, high, endpoint=True))
    paddings = [
        padding
        for padding in bounds.paddings
        if padding == "SAME" or (kernel <= side and not same) or kernel == 1
    ]
    return Conv(
        kind=pick(rng, bounds.conv_kinds),
        kernel=kernel,
        channels=draw_size(rng, bounds.channels),
        stride=_draw_stride(rng, bounds),
        padding=pick(rng, paddings),
        batch_norm=_flag(rng, bounds.batch_norm, _BATCH_NORM_CHANCE),
        relu=_flag(rng, bounds.relu, _RELU_CHANCE),
        reduction=pick(rng, bounds.reduction),
    )


def draw_pool(
    rng: np.random.Generator, side: int, bounds: Bounds, *, last: bool
) -> Pool:
    """Draws a pooling for a map of `side` pixels."""
    low, high = bounds.pool_window
    fits = low <= side
    kinds = [k for k in bounds.pool_kinds if fits or k in ("none", "global_average")]
    if not kinds:
        raise GenomeError(f"no pooling within the bounds fits a map of {side} pixels")
    odds = _LAST_POOL_ODDS if last else _POOL_ODDS
    kind = pick(rng, kinds, [odds[k] for k in kinds])
    if kind in ("none", "global_average"):
        return Pool(kind)
    return Pool(kind, draw_size(rng, (low, min(high, side))))


def draw_branch(rng: np.random.Generator, bounds: Bounds) -> int:
    """Draws the units of a side branch: mostly 0, which is none."""
    there = _flag(rng, bounds.branches, _BRANCH_CHANCE)
    return draw_size(rng, bounds.branch_units) if there else 0


def draw_training(rng: np.random.Generator, bounds: Bounds) -> Training:
    """Draws the genes of training and pruning."""
    low, high = bounds.learning_rate
    rate = math.exp(rng.uniform(math.log(low), math.log(high)))
    return Training(
        learning_rate=min(max(rate, low), high),
        pruning=pick(rng, bounds.pruning),
        sparsity=float(rng.uniform(*bounds.sparsity)),
    )


def draw_size(rng: np.random.Generator, ends: tuple[int, int]) -> int:
    """Draws an integer log-uniformly: n is as likely as log((n + 1) / n)."""
    low, high = ends
    size = int(math.exp(rng.uniform(math.log(low), math.log(high + 1))))
    return min(max(size, low), high)


def _draw(
    rng: np.random.Generator, input_shape: shapes.Shape, bounds: Bounds
) -> Genome:
    factor = draw_downsample(rng, input_shape, bounds)
    side = min(input_shape[:2]) // factor
    count = int(rng.integers(*bounds.num_blocks, endpoint=True))
    blocks = []
    for b in range(count):
        block = draw_block(rng, side, bounds, last=b == count - 1)
        side = side_after(block, side)
        blocks.append(block)
    num_dense = int(rng.integers(*bounds.num_dense, endpoint=True))
    return Genome(
        downsample=factor,
        blocks=tuple(blocks),
        input_branch=draw_branch(rng, bounds),
        dense=tuple(draw_size(rng, bounds.dense_units) for _ in range(num_dense)),
        training=draw_training(rng, bounds),
    )


def side_after(block: Block, side: int) -> int:
    """The smaller side of the map after a block, in pixels."""
    shape = (side, side, 1)
    for conv in block.convs:
        shape = shapes.conv_output(conv, shape, "conv")
    return shapes.pool_output(block.pool, shape, "pool")[0]


def _draw_stride(rng: np.random.Generator, bounds: Bounds) -> int:
    low, high = bounds.stride
    if low == high or rng.random() >= _STEP_CHANCE:
        return low
    return int(rng.integers(low + 1, high, endpoint=True))


def _flag(rng: np.random.Generator, choices: Sequence[bool], chance: float) -> bool:
    return rng.random() < chance if len(choices) > 1 else choices[0]


def pick(
    rng: np.random.Generator,
    options: Sequence[_T],
    weights: Sequence[float] | None = None,
) -> _T:
    """Draws one of the options, uniformly or with odds `weights`."""
    if weights is None:
        return options[int(rng.integers(len(options)))]
    shares = np.asarray(weights) / np.sum(weights)
    return options[int(rng.choice(len(options), p=shares))]
