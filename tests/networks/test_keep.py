"""What must stay: residuals, reductions, channels that nothing reads."""

import numpy as np
import pytest

from spjax import genomes, networks
from spjax.genomes import Block, Conv, Genome, Pool
from spjax.networks import keep
from tests.networks.numpy_network import forward, random_variables

SHAPE = (8, 8, 2)


def kill(variables, name, channels, part="conv"):
    """Zeroes channels of a convolutional layer with its batch norm."""
    layer = variables["params"][name]
    layer[part]["kernel"][..., channels] = 0
    for leaf in ("scale", "bias"):
        layer["norm"][leaf][channels] = 0


def compacted(genome, variables, input_shape=None):
    """Compacts, and checks that the logits stay."""
    genome = genomes.canonical(genome)
    small = networks.compact(genome, variables, input_shape=input_shape)
    shape = (4, *genomes.deployed_shape(genome, SHAPE))
    x = np.random.default_rng(1).normal(size=shape)
    expected, _ = forward(genome, variables, x)
    logits, _ = forward(small.genome, small.variables, x)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    return small


def draw(genome, seed=0):
    return random_variables(np.random.default_rng(seed), genome, SHAPE, 3)


def channels(genome):
    return [conv.channels for block in genome.blocks for conv in block.convs]


def residual(entry, middle, total, **options):
    """A block that makes `entry` channels and one with a residual on them."""
    convs = (Conv(channels=middle), Conv(channels=total, **options))
    return Genome(blocks=(Block((Conv(channels=entry),)), Block(convs, residual=True)))


def test_identity_residual_keeps_what_either_operand_has():
    genome = residual(6, 4, 6)
    variables = draw(genome)
    kill(variables, "block0_conv0", [0, 1, 2, 3])
    kill(variables, "block1_conv0", [1])
    kill(variables, "block1_conv1", [0, 1, 5])
    small = compacted(genome, variables)
    # Entry has 4 and 5, the second layer 2, 3 and 4; 0 and 1 are in neither.
    assert channels(small.genome) == [4, 3, 4]
    assert "block1_shortcut" not in small.variables["params"]
    kept = variables["params"]["block0_conv0"]["norm"]["bias"][2:]
    np.testing.assert_array_equal(
        small.variables["params"]["block0_conv0"]["norm"]["bias"], kept
    )


def test_identity_residual_on_the_image_keeps_all_its_channels():
    genome = Genome(blocks=(Block((Conv(channels=3), Conv(channels=2)), True),))
    variables = draw(genome)
    kill(variables, "block0_conv0", [0, 1])
    kill(variables, "block0_conv1", [0, 1])
    assert channels(compacted(genome, variables).genome) == [1, 2]


def test_identity_residuals_in_a_row_keep_the_same_channels():
    convs = (Conv(channels=2), Conv(channels=5))
    genome = residual(5, 2, 5)
    genome = Genome(blocks=(*genome.blocks, Block(convs, residual=True)))
    variables = draw(genome)
    kill(variables, "block0_conv0", [0, 1, 2, 3])
    kill(variables, "block1_conv1", [0, 1, 3, 4])
    kill(variables, "block2_conv1", [0, 2, 3, 4])
    # 4 is alive in the first map, 2 in the second, 1 in the third.
    assert channels(compacted(genome, variables).genome) == [3, 2, 3, 2, 3]


@pytest.mark.parametrize("total", [6, 3])
def test_a_channel_that_only_the_residual_reads_stays(total):
    genome = residual(6, 4, total)
    variables = draw(genome)
    variables["params"]["block1_conv0"]["conv"]["kernel"][:, :, [1, 4]] = 0
    assert channels(compacted(genome, variables).genome) == [6, 4, total]


def test_a_constant_before_an_identity_shortcut_stays_with_the_sum():
    convs = (Conv(channels=4, kernel=1), Conv(channels=3))
    first = Conv(channels=3, kernel=1, batch_norm=False)
    genome = Genome(blocks=(Block((first,)), Block(convs, residual=True)))
    variables = draw(genome)
    layer = variables["params"]["block0_conv0"]["conv"]
    layer["kernel"][..., 1] = 0
    layer["bias"][1] = 2.0
    assert channels(compacted(genome, variables).genome) == [3, 4, 3]
    variables["params"]["classifier"]["kernel"].reshape(64, 3, 3)[:, 1] = 0
    assert channels(compacted(genome, variables).genome) == [2, 4, 2]


def test_shortcut_that_would_turn_into_the_identity_keeps_one_channel_more():
    genome = residual(6, 4, 3)
    variables = draw(genome)
    kill(variables, "block0_conv0", [1, 2, 4])
    small = compacted(genome, variables)
    # The sum has 3 channels and none to spare, so the input has 4 and not 3.
    assert channels(small.genome) == [4, 4, 3]
    kernel = small.variables["params"]["block1_shortcut"]["kernel"]
    assert kernel.shape == (1, 1, 4, 3)
    classifier = variables["params"]["classifier"]["kernel"]
    classifier.reshape(64, 3, 3)[:, 0] = 0  # nothing reads channel 0 of the sum
    small = compacted(genome, variables)
    assert channels(small.genome) == [3, 4, 2]


@pytest.mark.parametrize(("input_shape", "total"), [(None, 4), (SHAPE, 3)])
def test_the_image_tells_that_strides_keep_a_shortcut_apart(input_shape, total):
    genome = residual(3, 4, 6, stride=2)
    variables = draw(genome)
    pixels = variables["params"]["classifier"]["kernel"].reshape(16, 6, 3)
    pixels[:, 3:] = 0
    small = compacted(genome, variables, input_shape)
    assert channels(small.genome) == [3, 4, total]


def test_a_strided_map_of_one_pixel_is_seen_from_the_image():
    genome = residual(3, 4, 6, stride=2)
    first = Block((Conv(channels=3),), pool=Pool("global_average"))
    genome = Genome(blocks=(first, genome.blocks[1]))
    variables = draw(genome)
    variables["params"]["classifier"]["kernel"][3:] = 0
    assert channels(compacted(genome, variables, SHAPE).genome) == [3, 4, 4]


def downsampled(inputs, reduction, outputs):
    second = Conv(kind="downsampled", channels=outputs, reduction=reduction)
    return Genome(blocks=(Block((Conv(channels=inputs), second)),))


@pytest.mark.parametrize(
    ("dead", "kind", "inputs", "reduction"),
    [
        (0, "downsampled", 10, 0.5),
        (1, "downsampled", 9, 1 - 5 / 9),
        (5, "downsampled", 5, 0.0),
        (6, "regular", 4, 0.5),
        (9, "regular", 1, 0.5),
    ],
)
def test_reduction_keeps_its_width_or_is_multiplied_out(dead, kind, inputs, reduction):
    genome = downsampled(10, 0.5, 4)
    variables = draw(genome)
    kill(variables, "block0_conv0", list(range(dead)))
    small = compacted(genome, variables)
    first, second = small.genome.blocks[0].convs
    assert (second.kind, first.channels) == (kind, inputs)
    assert second.reduction == reduction
    layer = small.variables["params"]["block0_conv1"]
    assert ("reduce" in layer) == (kind == "downsampled")
    if kind == "downsampled":
        assert layer["reduce"]["kernel"].shape == (1, 1, inputs, 5)
        assert genomes.reduced_channels(inputs, reduction) == 5


def test_a_sparse_kernel_is_not_multiplied_out():
    genome = downsampled(10, 0.5, 4)
    variables = draw(genome)
    kill(variables, "block0_conv0", list(range(6)))
    kernel = variables["params"]["block0_conv1"]["conv"]["kernel"]
    kernel[:] = 0
    kernel[1, 1] = np.random.default_rng(0).normal(size=(5, 4))
    # 5 x 4 weights against 4 x 4 in one kernel: fewer, so they are multiplied out.
    small = compacted(genome, variables)
    assert small.genome.blocks[0].convs[1].kind == "regular"
    kernel[1, 1] = np.eye(5, 4)
    kernel[1, 1, 4, 0] = 1
    # Now 5 weights against 16. The 5th input is one that is dead.
    small = compacted(genome, variables)
    assert small.genome.blocks[0].convs[1].kind == "downsampled"
    assert channels(small.genome) == [5, 4]
    dead = networks.dead_channels(small.genome, small.variables)
    np.testing.assert_array_equal(dead["block0_conv0"], [True] + 4 * [False])


def test_outputs_of_a_reduction_go_where_they_are_zero_or_unread():
    genome = downsampled(10, 0.5, 4)
    variables = draw(genome)
    layer = variables["params"]["block0_conv1"]
    layer["reduce"]["kernel"][..., 2] = 0
    layer["conv"]["kernel"][:, :, 4] = 0
    small = compacted(genome, variables)
    assert small.genome.blocks[0].convs[1].reduction == 1 - 3 / 10
    width = small.variables["params"]["block0_conv1"]["reduce"]["kernel"].shape[-1]
    assert width == 3


def test_a_layer_without_a_live_channel_keeps_one():
    genome = Genome(blocks=(Block((Conv(channels=4), Conv(channels=3))),), dense=(5,))
    variables = draw(genome)
    kill(variables, "block0_conv0", slice(None))
    small = compacted(genome, variables)
    # What follows is constant, too: it leaves one channel each.
    assert channels(small.genome) == [1, 1]
    assert small.genome.dense == (1,)


def test_what_nothing_reads_goes_with_all_that_only_it_reads():
    genome = Genome(
        blocks=(Block((Conv(channels=4), Conv(channels=3)), branch=6),),
        dense=(5, 7),
        input_branch=2,
    )
    variables = draw(genome)
    params = variables["params"]
    params["classifier"]["kernel"][[0, 1, 2]] = 0  # units of dense1
    params["classifier"]["kernel"][[7, 8]] = 0  # the input branch
    params["classifier"]["kernel"][[9]] = 0  # a unit of the block's branch
    params["dense1"]["kernel"][[0, 4], 3:] = 0  # read by units that go
    params["dense0"]["kernel"].reshape(64, 3, 5)[:, 1, 1:4] = 0
    params["block0_branch"]["kernel"].reshape(64, 3, 6)[:, 1, 1:] = 0
    small = compacted(genome, variables)
    assert small.genome.dense == (3, 4)
    assert small.genome.input_branch == 0
    assert small.genome.blocks[0].branch == 5
    assert channels(small.genome) == [4, 2]
    assert "input_branch" not in small.variables["params"]


def test_a_depthwise_filter_of_zeros_frees_the_channel_before_it():
    second = Conv(kind="separable", channels=3)
    genome = Genome(blocks=(Block((Conv(channels=4), second)),))
    variables = draw(genome)
    variables["params"]["block0_conv1"]["depthwise"]["kernel"][..., 1] = 0
    assert channels(compacted(genome, variables).genome) == [3, 3]


def test_merged_kernel_does_what_reduction_and_kernel_do():
    genome = Genome(blocks=(Block((Conv(kind="downsampled", reduction=0.0),)),))
    params = networks.flatten(draw(genome)["params"])
    params["block0_conv0/conv/kernel"] = params["block0_conv0/conv/kernel"][1:2, 1:2]
    merged = keep.merged_kernel("block0_conv0", params)[0, 0]
    x = np.random.default_rng(0).normal(size=2)
    middle = params["block0_conv0/reduce/kernel"][0, 0].T @ x
    expected = params["block0_conv0/conv/kernel"][0, 0].T @ middle
    np.testing.assert_allclose(merged.T @ x, expected, rtol=1e-5)
