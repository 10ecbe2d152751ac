import dataclasses

import numpy as np
import pytest

from spjax import genomes, networks
from spjax.search.deployment import expected_deployment
from tests.search.deployed import trained

_CHANNEL = genomes.Training(pruning="channel", sparsity=0.5)


def _genome(*convs, **fields):
    block = genomes.Block(convs=convs, **fields)
    return genomes.Genome(blocks=(block,), dense=(20,), training=_CHANNEL)


def test_layers_shrink_and_nothing_more_is_pruned():
    genome = _genome(
        genomes.Conv(channels=8),
        genomes.Conv("downsampled", channels=6, reduction=0.75),
        genomes.Conv("downsampled", channels=4, reduction=0.25),
        branch=10,
    )
    small = expected_deployment(genome, (16, 16, 1))
    first, second, third = small.blocks[0].convs
    assert (first.channels, second.channels, third.channels) == (4, 3, 2)
    # Two of eight channels were to stay: two of the four that are left.
    assert second.kind == "downsampled"
    assert genomes.reduced_channels(4, second.reduction) == 2
    # round(6 * 0.75) = 4 of the 3 that are left: the reduction is of no use.
    assert third.kind == "regular"
    assert small.blocks[0].branch == 5 and small.dense == (10,)
    assert small.training == genomes.Training(pruning="none", sparsity=0.0)


@pytest.mark.parametrize("kind", ["none", "weight", "variational"])
def test_without_channel_pruning_nothing_changes(kind):
    gene = genomes.Training(pruning=kind, sparsity=0.0 if kind == "none" else 0.5)
    genome = dataclasses.replace(_genome(genomes.Conv(channels=8)), training=gene)
    assert expected_deployment(genome, (16, 16, 1)) == genome


def test_bayesian_pruning_is_expected_to_narrow_every_layer():
    gene = genomes.Training(pruning="bayesian", sparsity=0.75)
    genome = dataclasses.replace(
        _genome(genomes.Conv(channels=8), genomes.Conv(channels=6), branch=10),
        training=gene,
    )
    small = expected_deployment(genome, (16, 16, 1))
    assert [conv.channels for conv in small.blocks[0].convs] == [4, 3]
    assert small.blocks[0].branch == 5 and small.dense == (10,)
    assert small.training == genomes.Training(pruning="none", sparsity=0.0)


def test_an_identity_residual_keeps_the_channels_of_either_side():
    conv = genomes.Conv(channels=40)
    genome = genomes.Genome(
        blocks=(
            genomes.Block(convs=(conv,)),
            genomes.Block(convs=(conv, conv), residual=True),
            genomes.Block(convs=(conv, conv), residual=True),
        ),
        training=_CHANNEL,
    )
    small = expected_deployment(genome, (8, 8, 1))
    widths = [c.channels for block in small.blocks for c in block.convs]
    # Three maps of the sum, each with half of 40 channels: 40 (1 - 1/8).
    assert widths == [35, 20, 35, 20, 35]


def test_residuals_are_near_what_compaction_leaves():
    shape, bounds = (
        (12, 12, 1),
        genomes.Bounds(pruning=("channel",), sparsity=(0.2, 0.8)),
    )
    ratios = []
    for seed in range(30):
        genome = genomes.random_genome(np.random.default_rng(seed), shape, bounds)
        if not any(block.residual for block in genome.blocks):
            continue
        found = networks.compact(genome, *trained(genome, shape, seed), shape).genome
        expected = expected_deployment(genome, shape)
        count = [
            sum(c.channels for block in g.blocks for c in block.convs)
            for g in (expected, found)
        ]
        ratios.append(count[0] / count[1])
    assert len(ratios) > 5
    assert np.mean(np.abs(np.log(ratios))) < 0.05
    assert np.max(np.abs(np.log(ratios))) < 0.5
