"""A cheap stand-in for training: an error that follows from the genome."""

import math


def synthetic_error(genome, cost):
    """Falls with the channels, rises with bad learning rates and tiny models."""
    channels = sum(math.log2(c.channels) for b in genome.blocks for c in b.convs)
    error = 0.02 + 0.6 * math.exp(-0.25 * channels)
    error += 0.1 * (math.log10(genome.training.learning_rate) + 2.2) ** 2
    error += 0.12 * max(0.0, math.log(300 / cost["model_size_nonzero"]))
    return min(error, 0.9)
