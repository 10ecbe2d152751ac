import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spjax import genomes
from spjax.genomes import Block, Conv, Genome, GenomeError, Pool, Training
from spjax.genomes.canonical import round_learning_rate, round_sparsity
from tests.genomes.strategies import GENOMES, INPUT_SHAPES, PROPERTY


def _conv(**genes):
    return Genome(blocks=(Block((Conv(**genes), Conv())),))


def _block(**genes):
    return Genome(blocks=(Block(**genes),))


def _training(**genes):
    return Genome(training=Training(**genes))


SAME_NETWORK = [
    (_conv(reduction=0.1), _conv(reduction=0.9)),
    (_conv(kind="separable", reduction=0.1), _conv(kind="separable")),
    (_conv(kernel=1, padding="VALID"), _conv(kernel=1)),
    (_conv(kind="downsampled", reduction=0), _conv(kind="downsampled", reduction=-0.0)),
    (_block(residual=True), _block()),
    (_block(pool=Pool("none", 4)), _block()),
    (_block(pool=Pool("max", 1)), _block()),
    (_block(pool=Pool("average", 1)), _block()),
    (_block(pool=Pool("global_average", 1)), _block(pool=Pool("global_average", 3))),
    (_training(pruning="none", sparsity=0.3), _training(pruning="weight", sparsity=0)),
    (_training(sparsity=0.0), _training(pruning="channel", sparsity=0.0001)),
    (_training(sparsity=0.5004), _training(sparsity=0.5)),
    (_training(learning_rate=0.0012344), _training(learning_rate=0.00123)),
]
OTHER_NETWORK = [
    (_conv(kind="downsampled", reduction=0.1), _conv(kind="downsampled")),
    (_conv(kind="downsampled", reduction=0.0), _conv(kind="regular")),
    (_conv(kernel=2, padding="VALID"), _conv(kernel=2)),
    (_conv(kernel=1), _conv(kernel=1, kind="separable")),
    (_conv(relu=False), _conv()),
    (_block(pool=Pool("max", 2)), _block(pool=Pool("max", 3))),
    (_block(pool=Pool("max", 2)), _block(pool=Pool("average", 2))),
    (_block(convs=(Conv(),) * 2, residual=True), _block(convs=(Conv(),) * 2)),
    (_training(pruning="weight"), _training(pruning="channel")),
    (_training(sparsity=0.501), _training(sparsity=0.5)),
    (_training(learning_rate=0.00124), _training(learning_rate=0.00123)),
]


@pytest.mark.parametrize(("a", "b"), SAME_NETWORK)
def test_genes_without_effect_are_fixed(a, b):
    assert genomes.canonical(a) == genomes.canonical(b)
    assert genomes.to_json(genomes.canonical(a)) == genomes.to_json(
        genomes.canonical(b)
    )


@pytest.mark.parametrize(("a", "b"), OTHER_NETWORK)
def test_genes_with_effect_are_kept(a, b):
    assert genomes.canonical(a) != genomes.canonical(b)


@PROPERTY
@given(GENOMES)
def test_idempotent(genome):
    once = genomes.canonical(genome)
    assert genomes.canonical(once) == once
    assert genomes.to_json(genomes.canonical(once)) == genomes.to_json(once)


@PROPERTY
@given(GENOMES, INPUT_SHAPES)
def test_a_valid_genome_keeps_its_shapes_and_sizes(genome, shape):
    try:
        genomes.validate(genome, shape)
    except GenomeError:
        return
    fixed = genomes.canonical(genome)
    genomes.validate(fixed, shape)
    assert genomes.block_shapes(fixed, shape) == genomes.block_shapes(genome, shape)
    for before, after in zip(genome.blocks, fixed.blocks, strict=True):
        for old, new in zip(before.convs, after.convs, strict=True):
            # Only these two may change, and a reduction in use never does.
            assert (
                dataclasses.replace(new, padding=old.padding, reduction=old.reduction)
                == old
            )
            assert new.reduction == old.reduction or old.kind != "downsampled"
    assert fixed.dense == genome.dense
    assert fixed.input_branch == genome.input_branch


@PROPERTY
@given(st.floats(0, 1, exclude_max=True))
def test_sparsity_is_rounded_below_one(sparsity):
    rounded = round_sparsity(sparsity)
    assert 0 <= rounded <= 0.999
    assert abs(rounded - sparsity) <= 0.001
    assert float(f"{rounded:.3f}") == rounded


@PROPERTY
@given(st.floats(1e-300, 1))
def test_learning_rate_is_rounded_to_three_digits(rate):
    rounded = round_learning_rate(rate)
    assert abs(rounded / rate - 1) <= 0.5e-2
    assert float(f"{rounded:.2e}") == rounded


def test_floats_are_floats():
    genome = _conv(kind="downsampled", reduction=0)
    genome = dataclasses.replace(genome, training=Training(1, "weight", 0))
    fixed = genomes.canonical(genome)
    training = fixed.training
    found = [training.learning_rate, training.sparsity]
    found += [conv.reduction for conv in fixed.blocks[0].convs]
    assert [type(value) for value in found] == [float] * 4


def test_a_wrong_gene_is_refused():
    with pytest.raises(GenomeError, match=r"blocks\[0\]\.convs\[0\]\.kernel"):
        genomes.canonical(_conv(kernel="3"))
