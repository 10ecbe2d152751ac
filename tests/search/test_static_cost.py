import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes
from spjax.search.deployment import expected_deployment
from spjax.search.skeleton import skeleton
from spjax.search.static_cost import static_cost
from tests.search.deployed import CLASSES, measured


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([(8, 8, 1), (28, 28, 1), (20, 33, 3)]),
    st.sampled_from([1, 4]),
)
def test_equals_what_the_analyser_finds_in_the_trained_network(seed, shape, size):
    genome = genomes.random_genome(np.random.default_rng(seed), shape)
    promised = static_cost(genome, shape, CLASSES, bytes_per_element=size)
    found, left = measured(genome, shape, size)
    # Where the zeros lie decides over the sparse formats.
    estimate, encoded = (f.pop("model_size_encoded") for f in (promised, found))
    assert estimate > 0.5 * encoded
    expected = expected_deployment(genome, shape)
    tensors = [skeleton(g, shape, CLASSES).tensors for g in (left, expected)]
    added = any(block.residual for block in genome.blocks)
    if genome.training.pruning == "channel" and added:
        # Which channels the two maps of a residual share is up to chance, and a
        # channel that only one of them has is zeros in the other.
        assert found["model_size_nonzero"] <= found["model_size_dense"]
    elif tensors[0] == tensors[1]:
        assert found == promised
    else:
        # Channels that lost all their weights by chance cannot be foreseen.
        assert genome.training.pruning == "weight"
        assert all(found[name] <= promised[name] for name in found)


def test_channels_that_die_by_chance_only_make_it_smaller():
    shape, bounds = (
        (16, 16, 1),
        genomes.Bounds(pruning=("weight",), sparsity=(0.9, 0.98)),
    )
    for seed in range(6):
        genome = genomes.random_genome(np.random.default_rng(seed), shape, bounds)
        promised = static_cost(genome, shape, CLASSES)
        found, _ = measured(genome, shape)
        del promised["model_size_encoded"]  # An estimate.
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
        "best_order": 64 + 72,
        "planned_arena": 64 + 72,
        "model_size_dense": 18 + 2 + 180 + 10,
        "model_size_nonzero": 18 + 2 + 180 + 10,
        # Full layers are dense; 9 bytes for each of 2 channels and 10 classes.
        "model_size_encoded": 18 + 180 + 9 * 12,
        "macs": 36 * 18 + 180,
    }


def test_a_genome_that_does_not_fit_is_refused():
    genome = dataclasses.replace(genomes.Genome(), downsample=9)
    with pytest.raises(genomes.GenomeError, match="downsample = 9"):
        static_cost(genome, (8, 8, 1), 10)
