import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spjax import genomes
from spjax.genomes import Bounds, GenomeError
from spjax.genomes.active import active_genes
from spjax.genomes.random_draw import draw_block, draw_downsample, draw_size, pick
from tests.genomes.strategies import BOUNDS, INPUT_SHAPES, PROPERTY


def _draws(count, shape=(28, 28, 1), bounds=None, seed=0):
    rng = np.random.default_rng(seed)
    return [genomes.random_genome(rng, shape, bounds) for _ in range(count)]


@PROPERTY
@given(st.integers(0, 2**32 - 1), INPUT_SHAPES)
def test_valid_canonical_and_within_the_default_bounds(seed, shape):
    for genome in _draws(3, shape, seed=seed):
        genomes.validate(genome, shape)
        genomes.check_within(genome, Bounds())
        assert genomes.canonical(genome) == genome


@PROPERTY
@given(st.integers(0, 2**32 - 1), INPUT_SHAPES, BOUNDS)
def test_any_bounds_give_a_genome_within_or_an_error(seed, shape, bounds):
    try:
        genome = genomes.random_genome(np.random.default_rng(seed), shape, bounds)
    except GenomeError as error:
        assert "widen the bounds" in str(error)
    else:
        genomes.validate(genome, shape)
        genomes.check_within(genome, bounds)
        assert genomes.canonical(genome) == genome


def test_the_draw_depends_on_the_generator_only():
    assert _draws(20, seed=7) == _draws(20, seed=7)
    assert _draws(20, seed=7) != _draws(20, seed=8)


@pytest.fixture(scope="module")
def many():
    return _draws(3000)


def _values(many, bound):
    return [
        g.value for genome in many for g in active_genes(genome) if g.bound == bound
    ]


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Bounds)])
def test_every_option_is_drawn_and_none_always(many, field):
    values = _values(many, field)
    allowed = getattr(Bounds(), field)
    if type(allowed[0]) is int and allowed[1] < 10:
        allowed = range(allowed[0], allowed[1] + 1)
    elif len(allowed) == 2 and type(allowed[0]) in (int, float):
        # Wide ranges: both ends of the logarithm are reached.
        assert len(set(values)) > 50
        assert min(values) <= max(allowed[0] * 1.2, 0.02)
        assert max(values) >= allowed[1] * 0.95
        return
    shares = [values.count(option) / len(values) for option in allowed]
    assert min(shares) > 0.001
    assert max(shares) < 0.95


def test_channels_and_learning_rates_are_log_uniform(many):
    channels = np.array(_values(many, "channels"))
    for n in (1, 3, 10, 30):
        expected = math.log(n + 1) / math.log(101)
        assert np.mean(channels <= n) == pytest.approx(expected, abs=0.02)
    rates = np.array(_values(many, "learning_rate"))
    assert np.mean(rates <= 3e-3) == pytest.approx(0.5, abs=0.05)
    assert np.mean(rates <= 1e-3) == pytest.approx(
        math.log(10 / 3) / math.log(100), abs=0.05
    )


def test_sizes_follow_the_law_of_the_docstring():
    rng = np.random.default_rng(0)
    drawn = np.array([draw_size(rng, (2, 5)) for _ in range(20_000)])
    for n in (2, 3, 4, 5):
        expected = math.log((n + 1) / n) / math.log(3)
        assert np.mean(drawn == n) == pytest.approx(expected, abs=0.015)
    assert draw_size(rng, (9, 9)) == 9


def test_pick_follows_its_odds():
    rng = np.random.default_rng(0)
    drawn = [pick(rng, "abc", [1, 0, 3]) for _ in range(4000)]
    assert drawn.count("b") == 0
    assert drawn.count("c") / 4000 == pytest.approx(0.75, abs=0.03)


def test_small_images_are_rarely_downsampled():
    small = np.mean([genome.downsample > 1 for genome in _draws(1000, (8, 8, 1))])
    large = np.mean([genome.downsample > 1 for genome in _draws(1000, (32, 32, 3))])
    assert 0 < small < 0.2
    assert large > 0.5


def test_parts_fit_without_drawing_again():
    rng = np.random.default_rng(0)
    residuals = 0
    for side in [1, 2, 3, 5, 9] * 60:
        shape = (side, side + 1, 1)
        factor = draw_downsample(rng, shape, Bounds())
        block = draw_block(rng, side // factor, Bounds(), last=False)
        genomes.validate(genomes.Genome(factor, (block,)), shape)
        residuals += block.residual
    assert residuals > 30


def test_kernels_do_not_dwarf_their_map():
    for genome in _draws(300, (8, 8, 1)):
        for block, shapes in zip(
            genome.blocks, genomes.block_shapes(genome, (8, 8, 1)), strict=True
        ):
            reaching = [shapes.input, *shapes.convs]
            for conv, shape in zip(block.convs, reaching, strict=False):
                assert conv.kernel <= 2 * min(shape[:2]) - 1


@pytest.mark.parametrize(
    ("bounds", "shape"),
    [
        (Bounds(downsample=(4, 4)), (3, 9, 1)),
        (Bounds(kernel=(5, 5), paddings=("VALID",)), (4, 9, 1)),
        (Bounds(pool_kinds=("max",), num_blocks=(3, 3)), (7, 7, 1)),
        (
            Bounds(
                kernel=(3, 3), paddings=("VALID",), residual=(True,), num_convs=(2, 2)
            ),
            (9, 9, 1),
        ),
    ],
)
def test_bounds_that_admit_nothing(bounds, shape):
    with pytest.raises(GenomeError, match=r"no valid genome .* because .*: widen the"):
        genomes.random_genome(np.random.default_rng(0), shape, bounds)


def test_a_wrong_image_shape():
    with pytest.raises(GenomeError, match="input_shape"):
        genomes.random_genome(np.random.default_rng(0), (8, 8))


def test_bounds_that_admit_one_network_only():
    bounds = Bounds(
        downsample=(1, 1),
        num_blocks=(2, 2),
        num_convs=(2, 2),
        num_dense=(1, 1),
        conv_kinds=("separable",),
        kernel=(3, 3),
        channels=(8, 8),
        stride=(1, 1),
        paddings=("SAME",),
        batch_norm=(True,),
        relu=(True,),
        residual=(True,),
        pool_kinds=("average",),
        pool_window=(2, 2),
        branches=(True,),
        branch_units=(6, 6),
        dense_units=(5, 5),
        learning_rate=(0.01, 0.01),
        pruning=("weight",),
        sparsity=(0.5, 0.5),
    )
    conv = genomes.Conv(kind="separable")
    block = genomes.Block((conv, conv), True, genomes.Pool("average", 2), 6)
    expected = genomes.Genome(
        1, (block, block), 6, (5,), genomes.Training(0.01, "weight", 0.5)
    )
    assert set(_draws(5, (9, 9, 1), bounds)) == {expected}
