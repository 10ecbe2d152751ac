import dataclasses
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import analysis, genomes, networks, pruning
from spjax.search.static_cost import kept_weights, static_cost

_CLASSES = 7


def _traced(genome, shape, **options):
    deployed = genomes.deployed_shape(genome, shape)
    program = analysis.trace(
        networks.inference_function(genome, _CLASSES),
        networks.variable_shapes(genome, deployed, _CLASSES),
        jax.ShapeDtypeStruct((1, *deployed), np.float32),
    )
    sparsity = {}
    for operation in program.operations:
        kernel = operation.weight("kernel")
        # The channels of the classifier are the classes.
        channels = genome.training.pruning == "channel"
        if kernel and not (channels and operation.name == "classifier"):
            # An analyser's kernel has lost no axis, so its shape is the parameter's.
            kept = kept_weights(genome.training, kernel.shape)
            sparsity[operation.name] = 1 - kept / kernel.elements
    return analysis.analyze(program, sparsity=sparsity, **options)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([(8, 8, 1), (28, 28, 1), (20, 33, 3)]),
    st.sampled_from([1, 4]),
)
def test_equals_what_the_analyser_finds_in_the_traced_network(seed, shape, size):
    genome = genomes.random_genome(np.random.default_rng(seed), shape)
    report = _traced(genome, shape, bytes_per_element=size)
    found = static_cost(genome, shape, _CLASSES, bytes_per_element=size)
    assert found == {name: getattr(report, name) for name in found}


def test_a_network_worked_out_by_hand():
    # 8x8x1 -> conv 3x3x4 VALID -> 6x6x4 -> max pool 2 -> 3x3x4 -> dense 10.
    genome = genomes.Genome(
        blocks=(
            genomes.Block(
                convs=(genomes.Conv(channels=4, padding="VALID"),),
                pool=genomes.Pool("max", 2),
            ),
        ),
        training=genomes.Training(pruning="weight", sparsity=0.5),
    )
    assert static_cost(genome, (8, 8, 1), 10) == {
        "input_output": 64 + 144,  # The convolution; the pooling has 144 + 36.
        "input_weights": 36 + 180 + 10,  # The classifier, half of 36x10 left.
        "live_bytes": 64 + 144,  # While the convolution runs.
        "model_size_dense": 36 + 4 + 360 + 10,
        "model_size_nonzero": 18 + 4 + 180 + 10,
        "macs": 36 * 36 + 360,
    }


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["weight", "channel"]),
    st.floats(0, 0.98).map(lambda s: round(s, 3)),
    st.sampled_from([(3, 3, 4, 7), (1, 1, 5, 1), (36, 10), (5, 5, 1, 9)]),
)
def test_kept_weights_is_what_the_pruning_keeps(kind, sparsity, shape):
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    masks = pruning.compute_masks({"kernel": kernel}, sparsity, grain=kind)
    training = genomes.Training(pruning=kind, sparsity=sparsity)
    assert kept_weights(training, shape) == int(np.sum(masks["kernel"]))


def test_no_pruning_keeps_everything():
    training = genomes.Training(pruning="none", sparsity=0.0)
    assert kept_weights(training, (3, 3, 2, 5)) == math.prod((3, 3, 2, 5))


def test_a_genome_that_does_not_fit_is_refused():
    genome = dataclasses.replace(genomes.Genome(), downsample=9)
    with pytest.raises(genomes.GenomeError, match="downsample = 9"):
        static_cost(genome, (8, 8, 1), 10)
