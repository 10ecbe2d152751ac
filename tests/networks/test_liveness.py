"""Constants found in the weights against a network that runs."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes, networks
from spjax.genomes import Block, Conv, Genome, Pool
from spjax.networks import liveness
from tests.networks.numpy_network import (
    channel_masks,
    forward,
    random_variables,
    weight_masks,
)

BOUNDS = genomes.Bounds(channels=(1, 8), dense_units=(4, 9), branch_units=(4, 9))
SHAPE = (9, 9, 2)
SEEDS = st.integers(0, 2**32 - 1)


def masked(rng, genome, mask):
    variables = random_variables(rng, genome, SHAPE, 3)
    masks = mask(rng, variables["params"], rng.uniform(0.3, 0.95))
    params = jax.tree.map(np.multiply, variables["params"], masks)
    return variables | {"params": params}


def run(rng, genome, variables):
    x = rng.normal(size=(5, *genomes.deployed_shape(genome, SHAPE)))
    _, seen = forward(genome, variables, x)
    return {name: y.reshape(-1, y.shape[-1]) for name, y in seen.items()}


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_constants_are_those_of_the_running_network(seed):
    rng = np.random.default_rng(seed)
    genome = genomes.random_genome(rng, SHAPE, BOUNDS)
    variables = masked(rng, genome, weight_masks)
    values = liveness.evaluate(genome, *liveness.by_path(variables))
    seen = run(rng, genome, variables)
    assert values.emitted.keys() == seen.keys()
    for name, value in values.emitted.items():
        fixed = ~np.isnan(value)
        wanted = np.broadcast_to(value[fixed], seen[name][:, fixed].shape)
        np.testing.assert_allclose(seen[name][:, fixed], wanted, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_every_dead_channel_is_found(seed):
    """Without ReLUs a channel that never shows a value has none."""
    rng = np.random.default_rng(seed)
    bounds = dataclasses.replace(BOUNDS, relu=(False,), num_dense=(0, 0))
    bounds = dataclasses.replace(bounds, branches=(False,))
    genome = genomes.random_genome(rng, SHAPE, bounds)
    variables = masked(rng, genome, channel_masks)
    dead = networks.dead_channels(genome, variables)
    for name, seen in run(rng, genome, variables).items():
        np.testing.assert_array_equal(dead[name], np.all(seen == 0, axis=0), name)


def conv_variables(kernel, bias):
    classifier = {"kernel": np.ones((kernel.shape[-1], 2)), "bias": np.zeros(2)}
    conv = {"kernel": kernel, "bias": np.array(bias)}
    return {"params": {"block0_conv0": {"conv": conv}, "classifier": classifier}}


def test_a_bias_below_zero_is_dead_only_behind_a_relu():
    kernel = np.zeros((3, 3, 1, 3))
    kernel[0, 0, 0, 2] = 1
    variables = conv_variables(kernel, [-1.0, 1.0, -1.0])
    for relu, expected in ((True, [True, False, False]), (False, [False] * 3)):
        conv = Conv(channels=3, batch_norm=False, relu=relu)
        genome = Genome(blocks=(Block((conv,), pool=Pool("global_average")),))
        dead = networks.dead_channels(genome, variables)
        np.testing.assert_array_equal(dead["block0_conv0"], expected)


def test_batch_norm_without_scale_emits_its_bias_whatever_the_kernel():
    conv = Conv(channels=2, relu=False)
    genome = Genome(blocks=(Block((conv,), pool=Pool("global_average")),))
    variables = random_variables(np.random.default_rng(0), genome, SHAPE, 2)
    norm = variables["params"]["block0_conv0"]["norm"]
    norm["scale"][0] = norm["bias"][0] = 0
    dead = networks.dead_channels(genome, variables)
    np.testing.assert_array_equal(dead["block0_conv0"], [True, False])
    norm["bias"][0] = 2
    values = liveness.evaluate(genome, *liveness.by_path(variables))
    np.testing.assert_array_equal(values.emitted["block0_conv0"], [2, np.nan])


@pytest.mark.parametrize(
    ("reader", "passes"),
    [
        (Conv(kernel=3, padding="SAME"), False),
        (Conv(kernel=3, padding="VALID"), True),
        (Conv(kernel=1), True),
        (Conv(kernel=3, padding="VALID", kind="downsampled"), True),
    ],
)
def test_a_constant_is_followed_only_where_no_border_meets_it(reader, passes):
    first = Conv(channels=2, batch_norm=False, relu=False)
    genome = genomes.canonical(Genome(blocks=(Block((first, reader)),)))
    variables = random_variables(np.random.default_rng(0), genome, SHAPE, 2)
    conv = variables["params"]["block0_conv0"]["conv"]
    conv["kernel"][..., 0] = 0
    values = liveness.evaluate(genome, *liveness.by_path(variables))
    np.testing.assert_array_equal(
        values.maps[1], [conv["bias"][0] if passes else np.nan, np.nan]
    )


def test_weights_that_are_not_a_number_count_as_varying():
    kernel = np.zeros((3, 3, 1, 1))
    kernel[0] = np.nan
    genome = Genome(blocks=(Block((Conv(channels=1, batch_norm=False),)),))
    variables = conv_variables(kernel, [0.0])
    variables["params"]["classifier"]["kernel"] = np.ones((81, 2))
    assert not networks.dead_channels(genome, variables)["block0_conv0"].any()


def test_variables_of_another_genome_are_refused():
    genome = Genome(blocks=(Block((Conv(channels=4),)),))
    variables = random_variables(np.random.default_rng(0), genome, SHAPE, 2)
    wider = Genome(blocks=(Block((Conv(channels=5),)),))
    with pytest.raises(ValueError, match="block0_conv0/conv/kernel has the shape"):
        networks.dead_channels(wider, variables)
    deeper = Genome(blocks=(Block((Conv(channels=4), Conv())),))
    with pytest.raises(ValueError, match="no block0_conv1/conv/kernel"):
        networks.dead_channels(deeper, variables)
