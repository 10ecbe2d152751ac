"""Compacted networks against the masked ones, over the whole space of genomes."""

import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import analysis, genomes, networks, pruning
from spjax.genomes import Block, Conv, Genome, Pool, Training
from spjax.training.sparsify import channel_ties, prunable_channels
from tests.networks.numpy_network import (
    channel_masks,
    forward,
    random_variables,
    weight_masks,
)

BOUNDS = genomes.Bounds(channels=(1, 10), dense_units=(4, 20), branch_units=(4, 20))
SHAPES = ((8, 8, 1), (28, 28, 1), (12, 12, 3))
CLASSES = 4
SEEDS = st.integers(0, 2**32 - 1)
FIGURES = (
    "input_output",
    "input_weights",
    "live_bytes",
    "model_size_nonzero",
    "model_size_dense",
    "macs",
)


def draw(seed, mask=channel_masks, bounds=BOUNDS):
    """A random genome with variables, masks and the image's shape."""
    rng = np.random.default_rng(seed)
    shape = SHAPES[seed % len(SHAPES)]
    genome = genomes.random_genome(rng, shape, bounds)
    variables = random_variables(rng, genome, shape, CLASSES)
    most = 0.9 if mask is channel_masks else 0.99
    masks = mask(rng, variables["params"], rng.uniform(0.2, most))
    return genome, variables, masks, shape


def masked(variables, masks):
    params = jax.tree.map(lambda x, m: np.where(m, x, 0), variables["params"], masks)
    return variables | {"params": params}


def images(genome, shape, count=3, seed=0):
    shape = (count, *genomes.deployed_shape(genome, shape))
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_equal_trees(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def shapes_of(tree):
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): leaf.shape for path, leaf in leaves}


@pytest.mark.parametrize("mask", [channel_masks, weight_masks])
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_same_logits_and_a_genome_that_fits(mask, seed):
    genome, variables, masks, shape = draw(seed, mask)
    small = networks.compact(genome, variables, masks, shape if seed % 2 else None)
    genomes.validate(small.genome, shape)
    assert genomes.canonical(small.genome) == small.genome
    assert small.genome.training.pruning == "none"

    x = images(genome, shape)
    expected, _ = forward(genome, masked(variables, masks), x)
    logits, _ = forward(small.genome, small.variables, x)
    # Float32 weights hold what was folded into them.
    error = np.max(np.abs(logits - expected))
    assert error <= 3e-6 * (1 + np.max(np.abs(expected)))

    needed = networks.variable_shapes(small.genome, x.shape[1:], CLASSES)
    assert shapes_of(needed["params"]) == shapes_of(small.variables["params"])
    assert shapes_of(needed["params"]) == shapes_of(small.masks)
    stats = needed.get("batch_stats", {})
    assert shapes_of(stats) == shapes_of(small.variables["batch_stats"])
    for path, value in networks.flatten(small.variables).items():
        assert value.dtype == np.float32, path

    zeros = masked(small.variables, small.masks)
    assert_equal_trees(zeros["params"], small.variables["params"])
    again = networks.compact(*small, shape if seed % 2 else None)
    assert again.genome == small.genome
    assert_equal_trees(again.variables, small.variables)
    assert_equal_trees(again.masks, small.masks)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_same_logits_of_the_flax_network(seed):
    genome, variables, masks, shape = draw(seed, bounds=None)
    small = networks.compact(genome, variables, masks)
    x = images(genome, shape)
    variables = masked(variables, masks)
    expected = networks.inference_function(genome, CLASSES)(variables, x)
    logits = networks.inference_function(small.genome, CLASSES)(small.variables, x)
    scale = 1 + np.max(np.abs(expected))
    np.testing.assert_allclose(logits, expected, atol=2e-5 * scale, rtol=0)
    # The network that the other tests compute with is the same one.
    second, _ = forward(genome, variables, x)
    np.testing.assert_allclose(second, expected, atol=2e-5 * scale, rtol=0)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_channels_left_are_those_that_the_masks_leave(seed):
    """Where neither residual nor reduction asks for more."""
    bounds = genomes.Bounds(
        channels=(1, 10),
        dense_units=(4, 20),
        branch_units=(4, 20),
        residual=(False,),
        conv_kinds=("regular", "separable"),
    )
    genome, variables, masks, shape = draw(seed, bounds=bounds)
    small = networks.compact(genome, variables, masks)
    alive = {
        path: int(np.sum(np.any(mask, axis=tuple(range(mask.ndim - 1)))))
        for path, mask in networks.flatten(masks).items()
        if path.endswith("kernel")
    }
    for b, block in enumerate(small.genome.blocks):
        for c, conv in enumerate(block.convs):
            part = "pointwise" if conv.kind == "separable" else "conv"
            assert conv.channels == alive[f"block{b}_conv{c}/{part}/kernel"]
        assert block.branch == alive.get(f"block{b}_branch/kernel", 0)
    assert small.genome.input_branch == alive.get("input_branch/kernel", 0)
    for d, units in enumerate(small.genome.dense):
        assert units == alive[f"dense{d}/kernel"]
    dead = networks.dead_channels(small.genome, small.variables)
    assert not any(channels.any() for channels in dead.values())


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from([channel_masks, weight_masks]))
def test_no_figure_of_memory_or_size_grows(seed, mask):
    genome, variables, masks, shape = draw(seed, mask)
    small = networks.compact(genome, variables, masks)
    before = report(genome, masked(variables, masks), shape)
    after = report(small.genome, small.variables, shape)
    for figure in FIGURES:
        assert getattr(after, figure) <= getattr(before, figure), figure


def report(genome, variables, shape):
    fn = networks.inference_function(genome, CLASSES)
    program = analysis.trace(fn, variables, images(genome, shape, count=1))
    return analysis.analyze(program)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_nothing_dead_nothing_changed(seed):
    genome, variables, _, shape = draw(seed)
    small = networks.compact(genome, variables, input_shape=shape)
    training = Training(genome.training.learning_rate, "none", 0.0)
    assert small.genome.training == training
    assert genomes.to_json(small.genome) == genomes.to_json(
        Genome(
            genome.downsample,
            genome.blocks,
            genome.input_branch,
            genome.dense,
            training,
        )
    )
    assert_equal_trees(small.variables, variables)
    assert small.masks is None


def test_masks_of_the_pruning_room():
    convs = (Conv(channels=8), Conv("separable", channels=6, batch_norm=False))
    genome = Genome(blocks=(Block(convs, branch=5),), dense=(7,))
    shape = (8, 8, 1)
    variables = random_variables(np.random.default_rng(0), genome, shape, CLASSES)
    params = variables["params"]
    masks = pruning.compute_masks(
        params,
        0.6,
        grain="channel",
        where=prunable_channels,
        ties=channel_ties(params),
    )
    small = networks.compact(genome, variables, masks)
    # Of n channels, n - round(0.6 n) stay.
    assert [conv.channels for conv in small.genome.blocks[0].convs] == [3, 2]
    assert (small.genome.blocks[0].branch, small.genome.dense) == (2, (3,))
    pruned = variables | {"params": pruning.apply_masks(params, masks)}
    x = images(genome, shape)
    expected, _ = forward(genome, pruned, x)
    logits, _ = forward(small.genome, small.variables, x)
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.max(np.abs(expected)))
    # The weights alone tell as much; leaves that are not masked keep a scalar mask.
    alone = networks.compact(genome, pruned)
    assert alone.genome == small.genome
    assert_equal_trees(alone.variables, small.variables)
    assert np.ndim(small.masks["classifier"]["bias"]) == 0


def hand_worked():
    """8x8 image, 3x3 to 8 channels, separable to 6, average of all, 5 units, 3."""
    convs = (
        Conv(channels=8, batch_norm=False),
        Conv(kind="separable", channels=6, batch_norm=False),
    )
    pool = Pool("global_average")
    return Genome(blocks=(Block(convs, pool=pool),), dense=(5,))


def test_hand_worked_sizes():
    genome, shape = hand_worked(), (8, 8, 1)
    variables = random_variables(np.random.default_rng(0), genome, shape, CLASSES)
    params = variables["params"]
    conv, dead = params["block0_conv0"]["conv"], [0, 2, 3, 6, 7]
    conv["kernel"][..., dead] = conv["bias"][dead] = 0
    pointwise = params["block0_conv1"]["pointwise"]
    pointwise["kernel"][..., :4] = pointwise["bias"][:4] = 0
    params["dense0"]["kernel"][:, 1] = params["dense0"]["bias"][1] = 0
    small = networks.compact(genome, variables)
    assert [conv.channels for conv in small.genome.blocks[0].convs] == [3, 2]
    assert small.genome.dense == (4,)
    # 3 filters 3x3 and 3 biases; 3 filters and biases, 3 x 2 and 2; dense layers.
    count = 9 * 3 + 3 + 9 * 3 + 3 + 3 * 2 + 2 + 2 * 4 + 4 + 4 * CLASSES + CLASSES
    sizes = map(math.prod, shapes_of(small.variables["params"]).values())
    assert sum(sizes) == count
    after = report(small.genome, small.variables, shape)
    assert after.model_size_dense == count
    # The depthwise half reads and writes 8x8 maps of as many channels.
    assert report(genome, variables, shape).input_output == 2 * 64 * 8
    assert after.input_output == 2 * 64 * 3
    assert after.macs == 64 * 27 + 64 * 27 + 64 * 6 + 2 * 4 + 4 * CLASSES


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_depthwise_half_of_a_dead_channel_passes_into_the_pointwise_half(
    batch_norm, relu, padding
):
    options = {"batch_norm": batch_norm, "relu": relu, "padding": padding}
    convs = (
        Conv(channels=3),
        Conv("separable", channels=2, kernel=5, stride=2, **options),
    )
    genome, shape = Genome(blocks=(Block(convs),)), (8, 8, 1)
    variables = random_variables(np.random.default_rng(3), genome, shape, CLASSES)
    first = variables["params"]["block0_conv0"]
    first["conv"]["kernel"][..., 1] = 0
    first["norm"]["scale"][1] = first["norm"]["bias"][1] = 0
    small = networks.compact(genome, variables)
    assert small.genome.blocks[0].convs[0].channels == 2
    x = images(genome, shape)
    expected, seen = forward(genome, variables, x)
    constant = seen["block0_conv1/depthwise"][..., 1]
    assert np.ptp(constant) == 0
    logits, _ = forward(small.genome, small.variables, x)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)

    # The same by hand, w_1o times the constant.
    layer = variables["params"]["block0_conv1"]["pointwise"]
    shift = constant.flat[0] * layer["kernel"][0, 0, 1]
    assert np.any(shift) != (relu and constant.flat[0] == 0)
    if batch_norm:
        old = variables["batch_stats"]["block0_conv1"]["norm"]["mean"]
        new = small.variables["batch_stats"]["block0_conv1"]["norm"]["mean"]
        shift = -shift
    else:
        old = layer["bias"]
        new = small.variables["params"]["block0_conv1"]["pointwise"]["bias"]
    np.testing.assert_allclose(new - old, shift, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", genomes.CONV_KINDS)
def test_constants_other_than_zero_pass_into_biases(kind):
    convs = (
        Conv(channels=3, batch_norm=False),
        Conv(kind, channels=2, padding="VALID", reduction=0.3),
    )
    genome = Genome(
        blocks=(Block(convs, pool=Pool("max"), branch=4),), dense=(5,), input_branch=3
    )
    shape = (8, 8, 1)
    variables = random_variables(np.random.default_rng(0), genome, shape, CLASSES)
    params = variables["params"]
    for name, channel in (("dense0", 2), ("input_branch", slice(None))):
        params[name]["kernel"][:, channel] = 0
        params[name]["bias"][channel] = 1.5
    params["block0_conv0"]["conv"]["kernel"][..., 0] = 0
    params["block0_conv0"]["conv"]["bias"][0] = 2.0
    last = "pointwise" if kind == "separable" else "conv"
    params["block0_conv1"][last]["kernel"][..., 1] = 0
    params["block0_conv1"]["norm"]["bias"][1] = 3.0
    small = networks.compact(genome, variables)
    assert [conv.channels for conv in small.genome.blocks[0].convs] == [2, 1]
    assert small.genome.blocks[0].convs[1].kind == kind
    assert small.genome.dense == (4,)
    assert small.genome.input_branch == 0
    assert small.genome.blocks[0].branch == 4
    x = images(genome, shape)
    expected, _ = forward(genome, variables, x)
    logits, _ = forward(small.genome, small.variables, x)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_constant_at_the_border_of_a_padded_map_stays():
    convs = (Conv(channels=3, batch_norm=False), Conv(channels=2))
    genome, shape = Genome(blocks=(Block(convs),)), (8, 8, 1)
    variables = random_variables(np.random.default_rng(0), genome, shape, CLASSES)
    layer = variables["params"]["block0_conv0"]["conv"]
    layer["kernel"][..., 0] = 0
    layer["bias"][0] = 2.0
    small = networks.compact(genome, variables)
    assert small.genome.blocks == genome.blocks
    assert_equal_trees(small.variables, variables)


def test_what_is_given_is_left_alone():
    genome, variables, masks, _ = draw(5)
    copies = jax.tree.map(np.copy, (variables, masks))
    networks.compact(genome, variables, masks)
    assert_equal_trees((variables, masks), copies)


def test_masks_of_other_variables_are_refused():
    genome, variables, masks, _ = draw(5)
    masks = dict(masks, classifier={"kernel": masks["classifier"]["kernel"]})
    with pytest.raises(ValueError, match="differ at classifier/bias"):
        networks.compact(genome, variables, masks)


def test_an_image_that_does_not_fit_is_refused():
    genome = Genome(blocks=(Block((Conv(kernel=5, padding="VALID"),)),))
    variables = random_variables(np.random.default_rng(0), genome, (8, 8, 1), CLASSES)
    with pytest.raises(genomes.GenomeError, match="does not fit"):
        networks.compact(genome, variables, input_shape=(4, 4, 1))
