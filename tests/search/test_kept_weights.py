import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes, networks, pruning
from spjax.search.kept_weights import kept_channels, kept_weights
from spjax.training.sparsify import genome_masks

_KERNELS = [(3, 3, 1, 8), (1, 1, 8, 5), (5, 5, 5, 12), (300, 10)]
_SPARSITIES = st.floats(0, 0.98).map(lambda s: round(s, 3))


@settings(max_examples=60, deadline=None)
@given(_SPARSITIES)
def test_single_weights_are_shared_out_as_the_pruning_room_does(sparsity):
    params = {f"{i}": np.zeros(shape, np.float32) for i, shape in enumerate(_KERNELS)}
    masks = pruning.host_masks(params, sparsity, distribution="erk")
    gene = genomes.Training(pruning="weight", sparsity=sparsity)
    expected = [int(np.sum(masks[f"{i}"])) for i in range(len(_KERNELS))]
    assert kept_weights(gene, _KERNELS) == expected
    total = sum(math.prod(shape) for shape in _KERNELS)
    assert abs(sum(expected) - (1 - sparsity) * total) <= len(_KERNELS)


@settings(max_examples=60, deadline=None)
@given(_SPARSITIES, st.integers(1, 40))
def test_channels_are_kept_as_the_pruning_room_does(sparsity, channels):
    masks = pruning.host_masks(
        {"kernel": np.ones((3, 3, 2, channels), np.float32)}, sparsity, grain="channel"
    )
    gene = genomes.Training(pruning="channel", sparsity=sparsity)
    assert kept_channels(gene, channels) == int(np.sum(masks["kernel"])) // 18
    assert kept_weights(gene, [(3, 3, 2, channels)]) == [18 * channels]


def test_by_hand():
    channel = genomes.Training(pruning="channel", sparsity=0.5)
    assert [kept_channels(channel, n) for n in (8, 5, 12, 1)] == [4, 3, 6, 1]
    assert kept_channels(genomes.Training(pruning="channel", sparsity=0.98), 8) == 1
    none = genomes.Training(pruning="none", sparsity=0.0)
    assert kept_weights(none, _KERNELS) == [72, 40, 1500, 3000]
    assert kept_channels(none, 8) == 8


@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_the_masks_that_training_ends_with(seed):
    shape = (12, 12, 1)
    bounds = genomes.Bounds(pruning=("weight",), sparsity=(0.1, 0.98))
    genome = genomes.random_genome(np.random.default_rng(seed), shape, bounds)
    deployed = genomes.deployed_shape(genome, shape)
    params = networks.init_variables(genome, deployed, 10, seed)["params"]
    masks = genome_masks(genome.training, params, genome.training.sparsity)
    masks, params = networks.flatten(masks), networks.flatten(params)
    names = [name for name in masks if name.endswith("kernel")]
    counts = [int(np.sum(masks[name])) for name in names]
    assert kept_weights(genome.training, [params[n].shape for n in names]) == counts
