"""The network that a genome's channel pruning will leave to deploy.

`spjax.networks.compact` cuts the removed channels out of a trained network. How many
there are is known before training, and with it the shape of what is deployed, but for
one thing: where a residual adds two maps without a convolution in between, a channel
stays if it is alive in either. Of C channels, with shares a and b of them alive and
chosen independently, C (1 - (1 - a) (1 - b)) are expected to stay.
"""

import dataclasses
import math

from spjax.genomes import (
    Block,
    Conv,
    Genome,
    Training,
    block_shapes,
    reduced_channels,
)
from spjax.search.kept_weights import kept_channels


def expected_deployment(genome: Genome, input_shape: tuple[int, int, int]) -> Genome:
    """Shrinks a genome's layers to the channels that pruning will leave.

    Args:
      genome: a genome that is valid for the image.
      input_shape: (height, width, channels) of the raw image.

    Returns:
      The smaller genome, which prunes nothing more; the genome itself unless its
      pruning is ``channel`` or ``bayesian``, whose shape is an expectation (see
      `kept_weights`): measuring the trained network tells.
    """
    training = genome.training
    if training.pruning not in ("channel", "bayesian"):
        return genome
    maps = _maps(genome, input_shape)
    blocks, start = [], 0
    for block, shapes in zip(
        genome.blocks, block_shapes(genome, input_shape), strict=True
    ):
        widths = [shapes.input[2], *(conv.channels for conv in block.convs)]
        convs = tuple(
            _conv(conv, widths[i], maps[start + i], maps[start + i + 1])
            for i, conv in enumerate(block.convs)
        )
        branch = kept_channels(training, block.branch) if block.branch else 0
        blocks.append(dataclasses.replace(block, convs=convs, branch=branch))
        start += len(convs)
    return dataclasses.replace(
        genome,
        blocks=tuple(blocks),
        input_branch=kept_channels(training, genome.input_branch)
        if genome.input_branch
        else 0,
        dense=tuple(kept_channels(training, units) for units in genome.dense),
        training=Training(training.learning_rate, "none", 0.0),
    )


def _maps(genome: Genome, input_shape: tuple[int, int, int]) -> list[int]:
    """Channels that stay: of the input, then after each convolution."""
    whole = [input_shape[2], *(c.channels for b in genome.blocks for c in b.convs)]
    maps, joined = [input_shape[2]], {}
    for block, shapes in zip(
        genome.blocks, block_shapes(genome, input_shape), strict=True
    ):
        entry = len(maps) - 1
        maps += [kept_channels(genome.training, conv.channels) for conv in block.convs]
        if not _adds(block):
            continue
        if shapes.input == shapes.convs[1]:
            # Blocks of two convolutions in a row share the map in between.
            group = joined.setdefault(entry, {entry})
            group.add(entry + 2)
            joined[entry + 2] = group
        elif shapes.input[:2] == shapes.convs[1][:2] and maps[entry] == maps[entry + 2]:
            # Equal shapes would make the 1x1 shortcut an identity: one more stays.
            spare = entry + 2 if maps[entry + 2] < shapes.convs[1][2] else entry
            maps[spare] += 1
    for group in {id(group): group for group in joined.values()}.values():
        channels = whole[max(group)]
        dead = math.prod(1 - maps[index] / channels for index in group)
        for index in group:
            maps[index] = round(channels * (1 - dead))
    return maps


def _adds(block: Block) -> bool:
    return block.residual and len(block.convs) > 1


def _conv(conv: Conv, width: int, inputs: int, outputs: int) -> Conv:
    conv = dataclasses.replace(conv, channels=outputs)
    if conv.kind != "downsampled":
        return conv
    reduced = reduced_channels(width, conv.reduction)
    if reduced > inputs:
        # The two kernels multiplied out are the smaller.
        return dataclasses.replace(conv, kind="regular")
    return dataclasses.replace(conv, reduction=1 - reduced / inputs)
