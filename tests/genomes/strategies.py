"""What the property tests of this room draw from."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from spjax import genomes
from spjax.genomes import Block, Bounds, Conv, Genome, Pool, Training

PROPERTY = settings(
    max_examples=100, deadline=None, suppress_health_check=list(HealthCheck)
)
INPUT_SHAPES = st.tuples(*[st.integers(1, 20)] * 2, st.integers(1, 3))
SHARES = st.floats(0, 1, exclude_max=True) | st.just(0)

CONVS = st.builds(
    Conv,
    kind=st.sampled_from(genomes.CONV_KINDS),
    kernel=st.integers(1, 8),
    channels=st.integers(1, 120),
    stride=st.integers(1, 3),
    padding=st.sampled_from(genomes.PADDINGS),
    batch_norm=st.booleans(),
    relu=st.booleans(),
    reduction=SHARES,
)
POOLS = st.builds(
    Pool, kind=st.sampled_from(genomes.POOL_KINDS), window=st.integers(1, 5)
)
BRANCHES = st.just(0) | st.integers(1, 150)
BLOCKS = st.builds(
    Block,
    convs=st.lists(CONVS, min_size=1, max_size=3).map(tuple),
    residual=st.booleans(),
    pool=POOLS,
    branch=BRANCHES,
)
TRAININGS = st.builds(
    Training,
    learning_rate=st.floats(0, 1, exclude_min=True),
    pruning=st.sampled_from(genomes.PRUNING_KINDS),
    sparsity=SHARES,
)
# Genes of acceptable types and ranges; most do not fit an image, many have genes
# without effect, and few lie within the default bounds.
GENOMES = st.builds(
    Genome,
    downsample=st.integers(1, 3),
    blocks=st.lists(BLOCKS, min_size=1, max_size=3).map(tuple),
    input_branch=BRANCHES,
    dense=st.lists(st.integers(1, 250), max_size=2).map(tuple),
    training=TRAININGS,
)


def _ranges(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(
        lambda ends: (min(ends), max(ends))
    )


def _choices(options):
    return st.lists(st.sampled_from(options), min_size=1, unique=True).map(tuple)


def _sparsities(pruning):
    low = st.sampled_from([0.0, 0.3] if "none" in pruning else [0.001, 0.5])
    return st.tuples(low, st.sampled_from([0.5, 0.9, 0.999]))


# Bounds of all kinds, some of which admit no genome for a given image.
BOUNDS = _choices(genomes.PRUNING_KINDS).flatmap(
    lambda pruning: st.builds(
        Bounds,
        downsample=_ranges(1, 3),
        num_blocks=_ranges(1, 3),
        num_convs=_ranges(1, 3),
        num_dense=_ranges(0, 2),
        conv_kinds=_choices(genomes.CONV_KINDS),
        kernel=_ranges(1, 6),
        channels=_ranges(1, 60),
        stride=_ranges(1, 3),
        paddings=_choices(genomes.PADDINGS),
        batch_norm=_choices([False, True]),
        relu=_choices([False, True]),
        reduction=_choices([0.0, 0.25, 1 / 3, 0.9]),
        residual=_choices([False, True]),
        pool_kinds=_choices(genomes.POOL_KINDS),
        pool_window=_ranges(2, 4),
        branches=_choices([False, True]),
        branch_units=_ranges(1, 60),
        dense_units=_ranges(1, 60),
        learning_rate=st.sampled_from([(1e-4, 1e-4), (3e-4, 3e-2), (0.123, 1.0)]),
        pruning=st.just(pruning),
        sparsity=_sparsities(pruning),
    )
)


def random_genomes(input_shape, bounds=None):
    """Valid genomes within the bounds, by seed."""
    return st.integers(0, 2**32 - 1).map(
        lambda seed: genomes.random_genome(
            np.random.default_rng(seed), input_shape, bounds
        )
    )


def points(space):
    """Points of a flat space, each gene on its own."""

    def values(gene):
        if gene.choices:
            return st.sampled_from(gene.choices)
        draw = st.integers if gene.kind == "int" else st.floats
        return draw(gene.low, gene.high)

    return st.fixed_dictionaries({gene.name: values(gene) for gene in space})
