"""What a genome's network is like as a whole, in a few numbers: the traits.

A hundred genes by themselves show an error model little after a dozen trials. That
errors fall as networks grow, that a map of few values in the middle loses the image,
that a rate far from the best one costs: a few numbers show it. They are functions of
the genome, known before training; all describe the network as it is deployed. Amounts
enter by their logarithm, scaled so that about 1 is a step that matters.
"""

import math
from collections.abc import Mapping

import numpy as np

from spjax.genomes import Genome, block_shapes, deployed_shape
from spjax.search.deployment import expected_deployment

_FACTOR = 0.375  # of log2: about 1 for a factor of 6
COSTS = ("macs", "model_size_nonzero", "model_size_dense", "input_output")
TRAITS = (
    *COSTS,
    "last_map",  # values of the map that the dense layers read
    "narrowest",  # values of the smallest map or dense layer
    "fewest_channels",
    "pixels",
    "learning_rate",
    "kept",  # share of weights or channels that pruning leaves
    "convolutions",
    "relus",
    "batch_norms",
    "dense_layers",
    "last_side",  # of the last convolution's map, in pixels
    "largest_kernel",
    "prunes_channels",
    "prunes_weights",
)


def traits(
    genome: Genome, cost: Mapping[str, float], input_shape: tuple[int, int, int]
) -> np.ndarray:
    """The traits of a genome.

    Args:
      genome: valid for the image.
      cost: its figures, from `spjax.search.static_cost`.
      input_shape: (height, width, channels) of the raw image.

    Returns:
      float64 ``[len(TRAITS)]``.
    """
    left = expected_deployment(genome, input_shape)
    blocks = block_shapes(left, input_shape)
    maps = [math.prod(shape) for b in blocks for shape in (*b.convs, b.output)]
    convs = [conv for block in left.blocks for conv in block.convs]
    height, width, _ = deployed_shape(genome, input_shape)
    training = genome.training
    return np.array(
        [
            *(_FACTOR * _log2(cost[name]) for name in COSTS),
            _FACTOR * _log2(maps[-1]),
            _FACTOR * _log2(min(*maps, *left.dense)),
            _FACTOR * _log2(min(conv.channels for conv in convs)),
            0.5 * _log2(height * width),
            math.log10(training.learning_rate),
            0.5 * math.log(1 - min(training.sparsity, 0.999)),
            len(convs) / 3,
            sum(conv.relu for conv in convs) / 2,
            sum(conv.batch_norm for conv in convs) / 2,
            float(len(left.dense)),
            _FACTOR * _log2(blocks[-1].convs[-1][0]),
            0.5 * _log2(max(conv.kernel for conv in convs)),
            float(training.pruning in ("channel", "bayesian")),
            float(training.pruning in ("weight", "variational")),
        ]
    )


def _log2(amount: float) -> float:
    return math.log2(max(amount, 1))
