"""The shapes of a network's variables, written down from its genome.

They are those that the Flax module initialises, without tracing it: that takes longer
than drawing the weights. Tests hold both equal on random genomes.
"""

import dataclasses
import math

import jax
import numpy as np

from spjax.genomes import block_shapes, reduced_channels
from spjax.genomes.genome import Block, Conv, Genome
from spjax.genomes.shapes import BlockShapes


def variable_shapes(
    genome: Genome, input_shape: tuple[int, int, int], num_classes: int
) -> dict:
    """Returns the network's variables as a tree of ``jax.ShapeDtypeStruct``.

    Args:
      genome: a valid genome.
      input_shape: (H, W, C) of the network's input, after downsampling.
      num_classes: number of logits.

    Returns:
      ``{"params": ..., "batch_stats": ...}``, the latter only with batch norm.
    """
    walked = block_shapes(dataclasses.replace(genome, downsample=1), input_shape)
    params, stats = {}, {}
    joined = genome.input_branch
    if joined:
        params["input_branch"] = _dense(math.prod(input_shape), joined)
    for b, (block, shapes) in enumerate(zip(genome.blocks, walked, strict=True)):
        _add_block(f"block{b}", block, shapes, params, stats)
        if block.branch:
            features = math.prod(shapes.output)
            params[f"block{b}_branch"] = _dense(features, block.branch)
            joined += block.branch
    features = math.prod(walked[-1].output)
    for index, units in enumerate(genome.dense):
        params[f"dense{index}"] = _dense(features, units)
        features = units
    params["classifier"] = _dense(features + joined, num_classes)
    return {"params": params, "batch_stats": stats} if stats else {"params": params}


def _add_block(
    name: str, block: Block, shapes: BlockShapes, params: dict, stats: dict
) -> None:
    before = shapes.input
    for index, (conv, after) in enumerate(zip(block.convs, shapes.convs, strict=True)):
        layer = f"{name}_conv{index}"
        params[layer], moments = _conv_layer(conv, before[2])
        if moments:
            stats[layer] = moments
        if block.residual and index == 1 and shapes.input != after:
            params[f"{name}_shortcut"] = _conv(1, shapes.input[2], after[2], True)
        before = after


def _conv_layer(gene: Conv, channels: int) -> tuple[dict, dict]:
    """Parameters and running statistics of one gene's layer."""
    bias, params, stats = not gene.batch_norm, {}, {}

    def norm(name: str, size: int) -> None:
        if gene.batch_norm:
            params[name] = {"scale": _shape(size), "bias": _shape(size)}
            stats[name] = {"mean": _shape(size), "var": _shape(size)}

    if gene.kind == "separable":
        params["depthwise"] = _conv(gene.kernel, 1, channels, bias)
        norm("depthwise_norm", channels)
        params["pointwise"] = _conv(1, channels, gene.channels, bias)
    else:
        if gene.kind == "downsampled":
            kept = reduced_channels(channels, gene.reduction)
            params["reduce"] = _conv(1, channels, kept, False)
            channels = kept
        params["conv"] = _conv(gene.kernel, channels, gene.channels, bias)
    norm("norm", gene.channels)
    return params, stats


def _conv(kernel: int, inputs: int, outputs: int, bias: bool) -> dict:
    layer = {"kernel": _shape(kernel, kernel, inputs, outputs)}
    return {**layer, "bias": _shape(outputs)} if bias else layer


def _dense(inputs: int, outputs: int) -> dict:
    return {"kernel": _shape(inputs, outputs), "bias": _shape(outputs)}


def _shape(*sizes: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sizes, np.float32)
