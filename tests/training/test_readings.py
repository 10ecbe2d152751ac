"""Readings of trained networks: counts, nesting, bounds; by brute force."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes, networks, training
from spjax.genomes import Block, Conv, Genome, Pool, Training

CLASSES, SHAPE = 3, (8, 8, 1)
BOUNDS = genomes.Bounds(
    channels=(1, 10),
    dense_units=(4, 20),
    branch_units=(4, 20),
    pruning=genomes.NOISY_KINDS,
    sparsity=(0.01, 0.98),
)


def network(genome, seed=0):
    rng = np.random.default_rng(seed)
    shape = genomes.deployed_shape(genome, SHAPE)
    variables = networks.init_variables(genome, shape, CLASSES, seed)
    kernels = {
        path: leaf
        for path, leaf in networks.flatten(variables["params"]).items()
        if path.endswith("kernel")
    }
    if genome.training.pruning == "variational":
        noise = {p: rng.normal(size=x.shape) for p, x in kernels.items()}
    else:
        noise = {p: spread_groups(x, rng) for p, x in kernels.items()}
    return variables, {p: x.astype(np.float32) for p, x in noise.items()}


def spread_groups(kernel, rng):
    if kernel.ndim == 2:
        return np.broadcast_to(rng.normal(size=(len(kernel), 1)), kernel.shape)
    return np.broadcast_to(rng.normal(size=kernel.shape[-1]), kernel.shape)


def kernels_of(tree):
    flat = networks.flatten(tree)
    return {path: x for path, x in flat.items() if path.endswith("kernel")}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.98))
def test_weights_go_by_log_alpha(seed, sparsity):
    rng = np.random.default_rng(seed)
    genome = genomes.random_genome(rng, SHAPE, BOUNDS)
    genome = with_kind(genome, "variational")
    variables, noise = network(genome, seed % 100)
    masks, threshold = training.read_at(
        genome, variables["params"], sparsity, noise=noise
    )
    assert jax.tree.structure(masks) == jax.tree.structure(variables["params"])
    kept = kernels_of(masks)
    total = sum(m.size for m in kept.values())
    removed = total - sum(int(m.sum()) for m in kept.values())
    weights = networks.flatten(variables["params"])
    alphas = {p: noise[p] - np.log(weights[p] ** 2 + 1e-16) for p in kept}
    assert all(m.any() for m in kept.values())
    wanted = round(sparsity * total)
    if removed != wanted:  # only where so much would leave layers dry
        assert removed < wanted and sparsity > 0.7
        return
    if not removed:
        assert threshold is None
        return
    gone = np.concatenate([alphas[p][~m] for p, m in kept.items()])
    assert threshold == pytest.approx(gone.min(), abs=1e-5)
    for path, mask in kept.items():
        # What stays above the threshold is what its layer is owed.
        above = mask & (alphas[path] > threshold + 1e-5)
        assert not above.any() or mask.sum() <= 1 + 0.25 * mask.size


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9))
def test_groups_go_until_few_enough_weights_are_left(seed, sparsity):
    rng = np.random.default_rng(seed)
    genome = with_kind(genomes.random_genome(rng, SHAPE, BOUNDS), "bayesian")
    variables, noise = network(genome, seed % 100)
    params = variables["params"]
    masks, threshold = training.read_at(genome, params, sparsity, noise=noise)
    small = networks.compact(genome, variables, masks, SHAPE)
    left = sum(
        np.count_nonzero(x) for x in kernels_of(small.variables["params"]).values()
    )
    total = sum(x.size for x in kernels_of(params).values())
    kept = kernels_of(masks)
    for path, mask in kept.items():
        groups = mask[:, 0] if mask.ndim == 2 else mask[0, 0, 0]
        assert groups.any()
        # Whole groups, and those with the larger log alpha first.
        np.testing.assert_array_equal(mask, spread(groups, mask.shape))
        values = noise[path][:, 0] if mask.ndim == 2 else noise[path][0, 0, 0]
        if not groups.all():
            assert values[~groups].min() >= max(values[groups].min(), threshold - 1e-6)
    if left > (1 - sparsity) * total:  # every group that may go is gone
        for mask in kept.values():
            groups = mask[:, 0] if mask.ndim == 2 else mask[0, 0, 0]
            assert groups.sum() <= max(1, 0.25 * math.sqrt(1 - sparsity) * groups.size)


def spread(groups, shape):
    return np.broadcast_to(groups[:, None] if len(shape) == 2 else groups, shape)


def with_kind(genome, kind, sparsity=0.5):
    return dataclasses.replace(genome, training=Training(1e-2, kind, sparsity))


_CONVS = (Conv(channels=8), Conv(kind="separable", channels=6))
GENOME = Genome(blocks=(Block(convs=_CONVS, pool=Pool("max", 2)),), dense=(12,))


@pytest.mark.parametrize("kind", genomes.PRUNING_KINDS)
def test_higher_sparsities_are_nested_and_smaller(kind):
    genome = with_kind(GENOME, kind)
    variables, noise = network(genome)
    previous, sizes, params = None, [], variables["params"]
    for sparsity in (0.0, 0.3, 0.6, 0.8):
        masks, _ = training.read_at(
            genome, params, sparsity, noise=noise, previous=previous
        )
        params = jax.tree.map(np.multiply, params, masks)
        if previous is not None:
            assert all(jax.tree.leaves(jax.tree.map(
                lambda new, old: not (new & ~old).any(), masks, previous
            )))  # fmt: skip
        small = networks.compact(genome, {**variables, "params": params}, masks, SHAPE)
        sizes.append(
            sum(np.count_nonzero(x) for x in jax.tree.leaves(small.variables["params"]))
        )
        previous = masks
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 0.6 * sizes[0]


def test_a_channel_without_weights_emits_zero():
    genome = with_kind(GENOME, "bayesian")
    variables, noise = network(genome)
    masks, _ = training.read_at(genome, variables["params"], 0.7, noise=noise)
    layer = masks["block0_conv0"]
    alive = layer["conv"]["kernel"].any((0, 1, 2))
    assert 0 < alive.sum() < 8
    for name in ("scale", "bias"):
        np.testing.assert_array_equal(layer["norm"][name], alive)
    both = masks["block0_conv1"]
    for conv, norm in (("depthwise", "depthwise_norm"), ("pointwise", "norm")):
        alive = both[conv]["kernel"].any((0, 1, 2))
        np.testing.assert_array_equal(both[norm]["scale"], alive)


def test_kinds_without_noise_read_by_magnitude():
    genome = with_kind(GENOME, "weight")
    params = network(genome)[0]["params"]
    masks, threshold = training.read_at(genome, params, 0.6)
    assert threshold is None
    expected = training.genome_masks(genome.training, params, 0.6)
    jax.tree.map(np.testing.assert_array_equal, masks, expected)
    unpruned = with_kind(GENOME, "none", 0.0)
    same, _ = training.read_at(unpruned, params, 0.6)
    jax.tree.map(np.testing.assert_array_equal, same, expected)


def test_noise_of_is_by_weight_or_by_group():
    variables, _ = network(with_kind(GENOME, "variational"))
    for kind in genomes.NOISY_KINDS:
        params = training.noisy_params(variables["params"], kind)
        layer = params["block0_conv0"]["conv"]
        if kind == "bayesian":
            layer["scale"][:] = np.arange(1, 9)
        noise = training.noise_of(params)
        assert set(noise) == set(kernels_of(variables["params"]))
        found = noise["block0_conv0/conv/kernel"]
        assert found.shape == (3, 3, 1, 8)
        if kind == "variational":
            assert (found == -8.0).all()
        else:
            want = -8.0 - np.log(np.arange(1, 9) ** 2)
            np.testing.assert_allclose(found[2, 1, 0], want, rtol=1e-5)
