import math

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes, networks, pruning, training
from spjax.search.kept_weights import Kernel, kept_channels, kept_weights

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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["weight", "channel"])
def test_counts_are_those_of_the_masks_that_training_ends_with(kind, seed):
    rng, shape = np.random.default_rng(seed), (12, 12, 1)
    bounds = genomes.Bounds(pruning=(kind,), sparsity=(0.1, 0.98))
    genome = genomes.random_genome(rng, shape, bounds)
    deployed = genomes.deployed_shape(genome, shape)
    params = networks.init_variables(genome, deployed, 10, seed)["params"]
    optimiser = training.sparsify(
        optax.sgd(0.0),
        params,
        by_channel=kind == "channel",
        sparsity=genome.training.sparsity,
        begin=0,
        end=1,
        interval=1,
    )
    state = optimiser.init(params)
    zeros = jax.tree.map(np.zeros_like, params)
    for _ in range(3):
        updates, state = optimiser.update(zeros, state, params)
        params = optax.apply_updates(params, updates)
    kernels, counts = [], []
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.endswith("kernel"):
            free = _is_free(name)
            kernels.append(Kernel(leaf.shape, free))
            counts.append(int(np.sum(np.asarray(leaf) != 0)))
    assert kept_weights(genome.training, kernels) == counts


def _is_free(name):
    owner = name.split("/")[-2]
    return not owner.endswith(("classifier", "depthwise", "reduce", "shortcut"))
