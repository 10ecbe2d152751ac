import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes, networks, pruning, training
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


def test_kinds_with_noise_by_hand():
    variational = genomes.Training(pruning="variational", sparsity=0.9)
    weight = genomes.Training(pruning="weight", sparsity=0.9)
    assert kept_weights(variational, _KERNELS) == kept_weights(weight, _KERNELS)
    assert kept_channels(variational, 8) == 8
    # Half of the inputs and half of the outputs are a quarter of the weights.
    bayesian = genomes.Training(pruning="bayesian", sparsity=0.75)
    assert [kept_channels(bayesian, n) for n in (8, 20, 1)] == [4, 10, 1]
    assert kept_weights(bayesian, _KERNELS) == [72, 40, 1500, 3000]


@pytest.mark.parametrize("seed", range(4))
def test_what_noise_leaves_is_near_what_was_expected(seed):
    """The sum for single weights, an upper bound for groups; noise made up."""
    rng, shape = np.random.default_rng(seed), (12, 12, 1)
    bounds = genomes.Bounds(pruning=genomes.NOISY_KINDS, sparsity=(0.3, 0.9))
    genome = genomes.random_genome(rng, shape, bounds)
    deployed = genomes.deployed_shape(genome, shape)
    variables = networks.init_variables(genome, deployed, 10, seed)
    flat = networks.flatten(variables["params"])
    for kind in genomes.NOISY_KINDS:
        genes = genomes.Training(pruning=kind, sparsity=genome.training.sparsity)
        genome = dataclasses.replace(genome, training=genes)
        params = training.noisy_params(variables["params"], kind)
        for _, layer in training.noisy_layers(params):
            name = "scale_log_sigma2" if kind == "bayesian" else "log_sigma2"
            layer[name] = rng.normal(size=layer[name].shape).astype(np.float32)
        masks, _ = training.read_at(
            genome,
            variables["params"],
            genes.sparsity,
            noise=training.noise_of(params),
        )
        kernels = {p: x.shape for p, x in flat.items() if p.endswith("kernel")}
        kept = networks.flatten(masks)
        if kind == "variational":
            expected = sum(kept_weights(genes, list(kernels.values())))
            found = sum(int(kept[path].sum()) for path in kernels)
            assert abs(found - expected) <= len(kernels)
        else:
            small = networks.compact(genome, variables, masks, shape).variables
            left = networks.flatten(small["params"])
            found = sum(np.count_nonzero(left[p]) for p in left if p in kernels)
            total = sum(math.prod(shape) for shape in kernels.values())
            least = sum(map(math.sqrt, map(math.prod, kernels.values())))
            assert found <= (1 - genes.sparsity) * total + least


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
