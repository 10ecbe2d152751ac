import dataclasses

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes, networks
from spjax.search import measure
from spjax.search.static_cost import static_cost
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
    """What a trial of the genome would be found to cost."""
    small = networks.compact(genome, *trained(genome, shape, seed), shape)
    return measure(
        small.genome, small.variables, shape, CLASSES, bytes_per_element=size
    )


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([(8, 8, 1), (28, 28, 1), (20, 33, 3)]),
    st.sampled_from([1, 4]),
)
def test_equals_what_the_analyser_finds_in_the_trained_network(seed, shape, size):
    genome = genomes.random_genome(np.random.default_rng(seed), shape)
    sparsity = genome.training.sparsity
    if genome.training.pruning == "weight" and sparsity > 0.4:
        # Channels that lose all their weights by chance cannot be foreseen.
        gene = dataclasses.replace(genome.training, sparsity=sparsity / 3)
        genome = genomes.canonical(dataclasses.replace(genome, training=gene))
    if any(block.residual for block in genome.blocks):
        hypothesis.assume(genome.training.pruning != "channel")
    found = static_cost(genome, shape, CLASSES, bytes_per_element=size)
    assert found == measured(genome, shape, size)


def test_channels_that_die_by_chance_only_make_it_smaller():
    shape, bounds = (
        (16, 16, 1),
        genomes.Bounds(pruning=("weight",), sparsity=(0.9, 0.98)),
    )
    for seed in range(6):
        genome = genomes.random_genome(np.random.default_rng(seed), shape, bounds)
        promised, found = static_cost(genome, shape, CLASSES), measured(genome, shape)
        assert all(found[name] <= promised[name] for name in promised)


def test_a_network_worked_out_by_hand():
    # 8x8x1 -> conv 3x3x4 VALID -> 6x6x4 -> max pool 2 -> 3x3x4 -> dense 10.
    genome = genomes.Genome(
        blocks=(
            genomes.Block(
                convs=(genomes.Conv(channels=4, padding="VALID"),),
                pool=genomes.Pool("max", 2),
            ),
        ),
        training=genomes.Training(pruning="channel", sparsity=0.5),
    )
    # Half of the channels are cut out: the figures are those of two.
    assert static_cost(genome, (8, 8, 1), 10) == {
        "input_output": 64 + 72,  # The convolution; the pooling has 72 + 18.
        "input_weights": 18 + 180 + 10,  # The classifier.
        "live_bytes": 64 + 72,
        "model_size_dense": 18 + 2 + 180 + 10,
        "model_size_nonzero": 18 + 2 + 180 + 10,
        "macs": 36 * 18 + 180,
    }


def test_a_genome_that_does_not_fit_is_refused():
    genome = dataclasses.replace(genomes.Genome(), downsample=9)
    with pytest.raises(genomes.GenomeError, match="downsample = 9"):
        static_cost(genome, (8, 8, 1), 10)
