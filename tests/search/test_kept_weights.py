import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes, networks, pruning
from spjax.search.kept_weights import Kernel, kept_channels, kept_weights
from spjax.training.sparsify import genome_masks

_KERNELS = [
    Kernel((3, 3, 1, 8), True),
    Kernel((1, 1, 8, 5), False),
    Kernel((5, 5, 5, 12), True),
    Kernel((300, 10), False),
]


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 0.98).map(lambda s: round(s, 3)))
def test_single_weights_are_shared_out_as_the_pruning_room_does(sparsity):
    params = {f"{i}": np.zeros(k.shape, np.float32) for i, k in enumerate(_KERNELS)}
    masks = pruning.compute_masks(params, sparsity, distribution="erk")
    gene = genomes.Training(pruning="weight", sparsity=sparsity)
    expected = [int(np.sum(masks[f"{i}"])) for i in range(len(_KERNELS))]
    assert kept_weights(gene, _KERNELS) == expected
    total = sum(math.prod(kernel.shape) for kernel in _KERNELS)
    assert abs(sum(expected) - (1 - sparsity) * total) <= len(_KERNELS)


def test_channels_by_hand():
    gene = genomes.Training(pruning="channel", sparsity=0.5)
    assert [kept_channels(gene, kernel) for kernel in _KERNELS] == [4, 5, 6, 10]
    assert kept_weights(gene, _KERNELS) == [36, 40, 750, 3000]
    extreme = genomes.Training(pruning="channel", sparsity=0.98)
    assert kept_channels(extreme, _KERNELS[0]) == 1


def test_no_pruning_keeps_everything():
    gene = genomes.Training(pruning="none", sparsity=0.0)
    assert kept_weights(gene, _KERNELS) == [72, 40, 1500, 3000]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["weight", "channel"])
def test_counts_are_those_of_the_masks_that_training_ends_with(kind, seed):
    rng, shape = np.random.default_rng(seed), (12, 12, 1)
    bounds = genomes.Bounds(pruning=(kind,), sparsity=(0.1, 0.98))
    genome = genomes.random_genome(rng, shape, bounds)
    deployed = genomes.deployed_shape(genome, shape)
    params = networks.init_variables(genome, deployed, 10, seed)["params"]
    masks = genome_masks(genome.training, params, genome.training.sparsity)
    masks, params = networks.flatten(masks), networks.flatten(params)
    kernels, counts = [], []
    for name in (name for name in masks if name.endswith("kernel")):
        kernels.append(Kernel(params[name].shape, _is_free(name)))
        counts.append(int(np.sum(masks[name])))
    assert kept_weights(genome.training, kernels) == counts


def _is_free(name):
    owner = name.split("/")[-2]
    return not owner.endswith(("classifier", "depthwise", "reduce", "shortcut"))
