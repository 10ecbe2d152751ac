"""Shapes of the feature maps that a genome gives rise to.

For a side of n pixels, a kernel of k and a stride of s, a convolution leaves

    SAME:   ceil(n / s)
    VALID:  floor((n - k) / s) + 1,   which needs k <= n

pixels (Dumoulin and Visin, A guide to convolution arithmetic for deep learning,
2016). A pooling with window = stride = w leaves floor(n / w), and needs w <= n.
Downsampling by d leaves floor(n / d): the remainder is cropped.
"""

import dataclasses

from spjax.genomes.errors import GenomeError
from spjax.genomes.genome import Conv, Genome, Pool

Shape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class BlockShapes:
    """Shapes inside one block, each (height, width, channels).

    Attributes:
      input: what reaches the first convolution.
      convs: what leaves each convolution (after the residual, where there is one).
      output: what leaves the pooling; it feeds the side branch and the next block.
    """

    input: Shape
    convs: tuple[Shape, ...]
    output: Shape


def deployed_shape(genome: Genome, input_shape: Shape) -> Shape:
    """Shape of the network's own input, after the downsampling.

    Args:
      genome: a genome whose genes have acceptable types.
      input_shape: (height, width, channels) of the raw image.

    Returns:
      (height, width, channels) in pixels.

    Raises:
      GenomeError: if the downsampling is larger than the image.
    """
    height, width, channels = input_shape
    factor = genome.downsample
    if factor > min(height, width):
        raise GenomeError(
            f"downsample = {factor} does not fit the {height}x{width} image: "
            f"use at most {min(height, width)}"
        )
    return height // factor, width // factor, channels


def block_shapes(genome: Genome, input_shape: Shape) -> tuple[BlockShapes, ...]:
    """Follows the image through the blocks.

    Args:
      genome: a genome whose genes have acceptable types.
      input_shape: (height, width, channels) of the raw image.

    Returns:
      One `BlockShapes` per block.

    Raises:
      GenomeError: if a kernel or a pooling window does not fit its map.
    """
    shapes = []
    shape = deployed_shape(genome, input_shape)
    for b, block in enumerate(genome.blocks):
        block_input, conv_outputs = shape, []
        for c, conv in enumerate(block.convs):
            shape = conv_output(conv, shape, f"blocks[{b}].convs[{c}]")
            conv_outputs.append(shape)
        shape = pool_output(block.pool, shape, f"blocks[{b}].pool")
        shapes.append(BlockShapes(block_input, tuple(conv_outputs), shape))
    return tuple(shapes)


def classifier_features(genome: Genome, input_shape: Shape) -> int:
    """Number of values that reach the final classifier, side branches included."""
    height, width, channels = block_shapes(genome, input_shape)[-1].output
    trunk = genome.dense[-1] if genome.dense else height * width * channels
    return trunk + genome.input_branch + sum(block.branch for block in genome.blocks)


def reduced_channels(channels: int, reduction: float) -> int:
    """Channels that a ``downsampled`` convolution keeps: at least one."""
    return max(1, round(channels * (1 - reduction)))


def same_padding(conv: Conv) -> bool:
    """Whether the map loses no border: SAME, or a 1x1 kernel, which has none."""
    return conv.padding == "SAME" or conv.kernel == 1


def conv_output(conv: Conv, shape: Shape, path: str) -> Shape:
    """Shape after one convolution; `path` names it in the error."""
    height, width, _ = shape
    if same_padding(conv):
        height, width = -(-height // conv.stride), -(-width // conv.stride)
        return height, width, conv.channels
    if conv.kernel > min(height, width):
        raise GenomeError(
            f"{path}.kernel = {conv.kernel} does not fit the {height}x{width} map "
            f"that reaches it (padding VALID): use a kernel of at most "
            f"{min(height, width)} or SAME padding"
        )
    height = (height - conv.kernel) // conv.stride + 1
    width = (width - conv.kernel) // conv.stride + 1
    return height, width, conv.channels


def pool_output(pool: Pool, shape: Shape, path: str) -> Shape:
    """Shape after a pooling; `path` names it in the error."""
    height, width, channels = shape
    if pool.kind == "none":
        return shape
    if pool.kind == "global_average":
        return 1, 1, channels
    if pool.window > min(height, width):
        raise GenomeError(
            f"{path}.window = {pool.window} does not fit the {height}x{width} map "
            f"that reaches it: use a window of at most {min(height, width)} or "
            f"kind 'none'"
        )
    return height // pool.window, width // pool.window, channels
