import jax
import jax.numpy as jnp
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jax import lax

from spjax import genomes
from spjax.genomes import Block, Conv, Genome, GenomeError, Pool
from spjax.genomes.shapes import conv_output, pool_output, same_padding
from tests.genomes.strategies import INPUT_SHAPES, PROPERTY, random_genomes


def _lax_conv(shape, conv):
    kernel = jax.ShapeDtypeStruct(
        (conv.kernel, conv.kernel, shape[2], conv.channels), jnp.float32
    )
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    out = jax.eval_shape(
        lambda x, w: lax.conv_general_dilated(
            x,
            w,
            (conv.stride, conv.stride),
            conv.padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ),
        image,
        kernel,
    )
    return out.shape[1:]


def _lax_pool(shape, window):
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    size = (1, window, window, 1)
    out = jax.eval_shape(
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, size, size, "VALID"), image
    )
    return out.shape[1:]


@pytest.mark.parametrize("padding", genomes.PADDINGS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_a_convolution_leaves_what_xla_says(kernel, stride, padding):
    conv = Conv(kernel=kernel, stride=stride, padding=padding, channels=4)
    for shape in [(5, 5, 3), (9, 6, 1), (8, 11, 2)]:
        assert conv_output(conv, shape, "conv") == _lax_conv(shape, conv)


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_a_pooling_leaves_what_xla_says(kind, window):
    for shape in [(4, 4, 3), (9, 6, 1), (8, 11, 2)]:
        assert pool_output(Pool(kind, window), shape, "p") == _lax_pool(shape, window)


def test_a_pooling_without_window():
    assert pool_output(Pool("none", 9), (5, 3, 2), "p") == (5, 3, 2)
    assert pool_output(Pool("global_average", 9), (5, 3, 2), "p") == (1, 1, 2)


def test_a_kernel_or_window_must_fit_the_smaller_side():
    conv = Conv(kernel=4, padding="VALID")
    assert conv_output(conv, (4, 9, 1), "conv")[:2] == (1, 6)
    with pytest.raises(GenomeError, match=r"conv\.kernel = 4 .* 3x9 map .* at most 3"):
        conv_output(conv, (3, 9, 1), "conv")
    assert pool_output(Pool("max", 3), (3, 9, 1), "p")[:2] == (1, 3)
    with pytest.raises(GenomeError, match=r"p\.window = 3 .* 9x2 map .* at most 2"):
        pool_output(Pool("max", 3), (9, 2, 1), "p")


def test_a_kernel_of_one_pixel_pads_nothing():
    assert same_padding(Conv(kernel=1, padding="VALID"))
    assert same_padding(Conv(kernel=3, padding="SAME"))
    assert not same_padding(Conv(kernel=3, padding="VALID"))


def test_downsampling_crops_the_remainder():
    assert genomes.deployed_shape(Genome(downsample=3), (28, 29, 1)) == (9, 9, 1)
    assert genomes.deployed_shape(Genome(downsample=28), (28, 29, 1)) == (1, 1, 1)
    with pytest.raises(GenomeError, match="downsample = 29 .* 28x30 .* at most 28"):
        genomes.deployed_shape(Genome(downsample=29), (28, 30, 1))


def test_block_shapes_of_a_worked_example():
    first = Block(
        convs=(Conv(kernel=5, channels=6, padding="VALID"), Conv(stride=2, channels=7)),
        pool=Pool("max", 2),
        branch=5,
    )
    second = Block(convs=(Conv(channels=3),), pool=Pool("global_average"))
    genome = Genome(downsample=2, blocks=(first, second), input_branch=11)
    shapes = genomes.block_shapes(genome, (28, 32, 3))
    assert shapes[0].input == (14, 16, 3)
    assert shapes[0].convs == ((10, 12, 6), (5, 6, 7))
    assert shapes[0].output == (2, 3, 7) == shapes[1].input
    assert shapes[1].convs == ((2, 3, 3),)
    assert shapes[1].output == (1, 1, 3)
    assert genomes.classifier_features(genome, (28, 32, 3)) == 3 + 5 + 11


def test_the_classifier_reads_the_last_dense_layer():
    genome = Genome(dense=(20, 30), input_branch=4)
    assert genomes.classifier_features(genome, (8, 8, 1)) == 34
    genome = Genome(blocks=(Block((Conv(channels=5),)),))
    assert genomes.classifier_features(genome, (8, 9, 1)) == 8 * 9 * 5


@PROPERTY
@given(INPUT_SHAPES.flatmap(lambda s: st.tuples(st.just(s), random_genomes(s))))
def test_blocks_join_and_channels_are_the_genes(drawn):
    shape, genome = drawn
    shapes = genomes.block_shapes(genome, shape)
    reaching = genomes.deployed_shape(genome, shape)
    for block, found in zip(genome.blocks, shapes, strict=True):
        assert found.input == reaching
        assert [s[2] for s in found.convs] == [c.channels for c in block.convs]
        assert min(found.output) >= 1
        reaching = found.output


@PROPERTY
@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_reduced_channels_keep_the_nearest_whole_number(channels, reduction):
    kept = genomes.reduced_channels(channels, reduction)
    assert 1 <= kept <= channels
    assume(channels * (1 - reduction) >= 0.5)
    assert abs(kept - channels * (1 - reduction)) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("channels", "reduction", "kept"),
    [(8, 0.5, 4), (8, 0.75, 2), (1, 0.75, 1), (3, 0.5, 2), (10, 0.0, 10)],
)
def test_reduced_channels(channels, reduction, kept):
    assert genomes.reduced_channels(channels, reduction) == kept
