import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import analysis, genomes, networks
from spjax.search.kept_weights import Kernel, kept_channels, kept_weights
from spjax.search.static_cost import static_cost
from spjax.training.sparsify import channel_ties, prunable_channels

_CLASSES = 7


def _trained(genome, shape):
    """Weights as training leaves them: none zero but the pruned ones."""
    deployed = genomes.deployed_shape(genome, shape)
    shapes = networks.variable_shapes(genome, deployed, _CLASSES)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda s: rng.uniform(0.5, 1.5, s.shape).astype(np.float32), shapes
    )
    leaves = networks.flatten(variables["params"])
    paths = [path for path in leaves if path.endswith("kernel")]
    ties = channel_ties(variables["params"])
    kernels = [Kernel(leaves[p].shape, prunable_channels(p, leaves[p])) for p in paths]
    counts = kept_weights(genome.training, kernels)
    for path, kernel, count in zip(paths, kernels, counts, strict=True):
        if genome.training.pruning == "channel":
            kept = kept_channels(genome.training, kernel)
            for other in leaves:
                if other == path or ties(other, leaves[other]) == path:
                    leaves[other][..., kept:] = 0
        else:
            gone = rng.permutation(leaves[path].size)[count:]
            leaves[path].reshape(-1)[gone] = 0
    return variables


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([(8, 8, 1), (28, 28, 1), (20, 33, 3)]),
    st.sampled_from([1, 4]),
)
def test_equals_what_the_analyser_finds_in_the_trained_network(seed, shape, size):
    genome = genomes.random_genome(np.random.default_rng(seed), shape)
    report = analysis.analyze(
        analysis.trace(
            networks.inference_function(genome, _CLASSES),
            _trained(genome, shape),
            jax.ShapeDtypeStruct(
                (1, *genomes.deployed_shape(genome, shape)), np.float32
            ),
        ),
        bytes_per_element=size,
    )
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
        training=genomes.Training(pruning="channel", sparsity=0.5),
    )
    assert static_cost(genome, (8, 8, 1), 10) == {
        "input_output": 64 + 144,  # The convolution; the pooling has 144 + 36.
        "input_weights": 36 + 360 + 10,  # The classifier.
        "live_bytes": 64 + 144,  # While the convolution runs.
        "model_size_dense": 36 + 4 + 360 + 10,
        "model_size_nonzero": 18 + 2 + 360 + 10,
        "macs": 36 * 36 + 360,
    }


def test_a_genome_that_does_not_fit_is_refused():
    genome = dataclasses.replace(genomes.Genome(), downsample=9)
    with pytest.raises(genomes.GenomeError, match="downsample = 9"):
        static_cost(genome, (8, 8, 1), 10)
