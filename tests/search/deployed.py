"""Networks as training leaves and compaction shrinks them, without the training."""

import jax
import numpy as np

from spjax import genomes, networks
from spjax.search import measure
from spjax.training.sparsify import genome_masks

CLASSES = 7


def trained(genome, shape, seed=0):
    """Weights and masks as training leaves them: none zero but the pruned ones."""
    deployed = genomes.deployed_shape(genome, shape)
    shapes = networks.variable_shapes(genome, deployed, CLASSES)
    rng = np.random.default_rng(seed)
    variables = jax.tree.map(
        lambda s: rng.uniform(0.5, 1.5, s.shape).astype(np.float32), shapes
    )
    masks = genome_masks(genome.training, variables["params"], genome.training.sparsity)
    params = jax.tree.map(np.multiply, variables["params"], masks)
    return {**variables, "params": params}, masks


def measured(genome, shape, size=1, seed=0):
    """What a trial of the genome would be found to cost, and the genome left of it."""
    small = networks.compact(genome, *trained(genome, shape, seed), shape)
    figures = measure(
        small.genome, small.variables, shape, CLASSES, bytes_per_element=size
    )
    return figures, small.genome
