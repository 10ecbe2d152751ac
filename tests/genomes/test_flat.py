import dataclasses
import keyword

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spjax import genomes
from spjax.genomes import (
    Block,
    Bounds,
    Conv,
    Gene,
    Genome,
    GenomeError,
    Pool,
    Training,
    flat_space,
    from_flat,
    to_flat,
)
from tests.genomes.strategies import BOUNDS, INPUT_SHAPES, PROPERTY, points

SHAPE = (20, 20, 1)


def _in_range(gene, value):
    if gene.choices:
        return any(type(value) is type(c) and value == c for c in gene.choices)
    kind = {"int": int, "float": float}[gene.kind]
    return type(value) is kind and gene.low <= value <= gene.high


def test_the_default_space():
    space = {gene.name: gene for gene in flat_space()}
    # Of a convolution 8 genes, of a block 6 beside them, and 10 of the rest.
    assert len(space) == len(flat_space()) == 9 * 8 + 3 * 6 + 10
    assert space["num_blocks"] == Gene("num_blocks", "int", "num_blocks", 1, 3)
    assert space["block2_conv1_channels"] == Gene(
        "block2_conv1_channels", "int", "channels", 1, 100, log=True
    )
    assert space["block0_conv0_kind"].choices == genomes.CONV_KINDS
    assert space["block0_conv0_kind"].kind == "choice"
    assert space["block1_residual"].kind == "bool"
    assert space["learning_rate"].kind == "float" and space["learning_rate"].log
    assert space["dense1_units"].log and not space["sparsity"].log


def test_names_are_distinct_identifiers():
    names = [gene.name for gene in flat_space()]
    assert len(set(names)) == len(names)
    assert all(n.isidentifier() and not keyword.iskeyword(n) for n in names)


def test_the_image_limits_the_downsampling():
    assert flat_space(None, (3, 9, 1))[0].high == 3
    assert flat_space(None, (28, 28, 1)) == flat_space()
    with pytest.raises(GenomeError, match="bounds.downsample begins at 4"):
        flat_space(Bounds(downsample=(4, 4)), (3, 9, 1))
    with pytest.raises(GenomeError, match="input_shape"):
        flat_space(None, (3, 9))


def test_genes_that_the_bounds_rule_out_are_left_out():
    bounds = Bounds(
        num_blocks=(1, 1),
        num_convs=(1, 1),
        num_dense=(0, 0),
        conv_kinds=("regular",),
        kernel=(1, 1),
        pool_kinds=("none", "global_average"),
        branches=(False,),
        pruning=("none",),
    )
    assert [gene.name for gene in flat_space(bounds)] == [
        "downsample",
        "num_blocks",
        "block0_num_convs",
        "block0_conv0_kind",
        "block0_conv0_kernel",
        "block0_conv0_channels",
        "block0_conv0_stride",
        "block0_conv0_batch_norm",
        "block0_conv0_relu",
        "block0_pool_kind",
        "block0_has_branch",
        "has_input_branch",
        "num_dense",
        "learning_rate",
        "pruning",
    ]


def test_a_worked_example():
    genome = Genome(
        downsample=2,
        blocks=(Block((Conv("separable", 5, 12),), pool=Pool("max", 3), branch=6),),
        dense=(40,),
        training=Training(0.01, "channel", 0.25),
    )
    point = to_flat(genome)
    active = {
        "downsample": 2,
        "num_blocks": 1,
        "block0_num_convs": 1,
        "block0_conv0_kind": "separable",
        "block0_conv0_kernel": 5,
        "block0_conv0_channels": 12,
        "block0_conv0_stride": 1,
        "block0_conv0_padding": "SAME",
        "block0_conv0_batch_norm": True,
        "block0_conv0_relu": True,
        "block0_pool_kind": "max",
        "block0_pool_window": 3,
        "block0_has_branch": True,
        "block0_branch_units": 6,
        "has_input_branch": False,
        "num_dense": 1,
        "dense0_units": 40,
        "learning_rate": 0.01,
        "pruning": "channel",
        "sparsity": 0.25,
    }
    assert active.items() <= point.items()
    # The rest is at rest, and is not read.
    for gene in flat_space():
        if gene.name not in active:
            assert point[gene.name] == gene.default
    assert from_flat(active) == from_flat(point) == genome


@PROPERTY
@given(st.integers(0, 2**32 - 1), INPUT_SHAPES, st.none() | BOUNDS)
def test_genomes_go_there_and_back(seed, shape, bounds):
    try:
        genome = genomes.random_genome(np.random.default_rng(seed), shape, bounds)
    except GenomeError:
        return
    point = to_flat(genome, bounds)
    space = flat_space(bounds, shape)
    assert list(point) == [gene.name for gene in space]
    for gene in space:
        assert _in_range(gene, point[gene.name]), gene
    assert from_flat(point) == genome
    assert to_flat(from_flat(point), bounds) == point


@PROPERTY
@given(st.data(), st.none() | BOUNDS)
def test_any_point_reads_as_a_canonical_genome(data, bounds):
    space = flat_space(bounds)
    genome = from_flat(data.draw(points(space)))
    assert genomes.canonical(genome) == genome
    point = to_flat(genome, bounds)
    assert all(_in_range(gene, point[gene.name]) for gene in space)
    assert from_flat(point) == genome


@PROPERTY
@given(st.data())
def test_points_at_rest_read_back_unchanged(data):
    point = data.draw(points(flat_space()))
    once = to_flat(from_flat(point))
    assert to_flat(from_flat(once)) == once
    # What changed on the way had no effect, or was rounded.
    for name, value in once.items():
        if name not in ("learning_rate", "sparsity", "pruning"):
            gene = next(gene for gene in flat_space() if gene.name == name)
            assert value in (point[name], gene.default)


def test_a_genome_out_of_bounds_is_refused():
    with pytest.raises(GenomeError, match="num_dense = 1 is out of bounds"):
        to_flat(Genome(dense=(5,)), Bounds(num_dense=(0, 0)))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_blocks", 4, "num_blocks = 4 must be an integer from 1 to 3"),
        ("num_blocks", 1.0, "num_blocks = 1.0 must be an integer"),
        ("block0_num_convs", True, "block0_num_convs = True must be an integer"),
        ("num_dense", "2", "num_dense = '2' must be an integer from 0 to 2"),
        ("has_input_branch", 1, "has_input_branch = 1 must be True or False"),
        ("block0_conv0_kernel", 2.5, "blocks[0].convs[0].kernel = 2.5 must be"),
        ("block0_conv0_kind", np.zeros(2), "block0_conv0_kind = array([0., 0.]) must"),
        ("block0_pool_kind", None, "block0_pool_kind = None must be a number, name"),
        ("sparsity", float("nan"), "training.sparsity = nan must be"),
    ],
)
def test_a_wrong_value_is_refused(name, value, message):
    with pytest.raises(GenomeError) as error:
        from_flat({**to_flat(Genome()), name: value})
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["num_blocks", "block0_conv0_kernel", "sparsity"])
def test_a_missing_gene_is_named(name):
    point = to_flat(Genome())
    del point[name]
    with pytest.raises(GenomeError, match=f"no gene '{name}'"):
        from_flat(point)


def test_genes_are_plain_data():
    assert all(dataclasses.is_dataclass(gene) for gene in flat_space())
    assert hash(flat_space()) == hash(flat_space(Bounds()))
