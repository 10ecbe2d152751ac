import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spjax import genomes
from spjax.genomes import (
    Block,
    Bounds,
    Conv,
    Genome,
    GenomeError,
    Pool,
    Training,
    feature_names,
    features,
)
from tests.genomes.strategies import BOUNDS, INPUT_SHAPES, PROPERTY, random_genomes


def _columns(genome, bounds=None):
    found = features(genome, bounds)
    return dict(
        zip(
            feature_names(bounds),
            zip(found.values, found.active, strict=True),
            strict=True,
        )
    )


def test_a_worked_example():
    genome = Genome(
        downsample=2,
        blocks=(
            Block(
                (Conv("downsampled", 3, 10, 2, "VALID", True, False, 0.75), Conv()),
                pool=Pool("average", 3),
            ),
        ),
        dense=(28,),
        training=Training(3e-3, "channel", 0.8),
    )
    columns = _columns(genome)
    expected = {
        "downsample": (2 - 1) / (4 - 1),
        "num_blocks": 0,
        "block0_num_convs": 1 / 2,
        "block0_conv0_kind=regular": 0,
        "block0_conv0_kind=separable": 0,
        "block0_conv0_kind=downsampled": 1,
        "block0_conv0_kernel": 2 / 6,
        "block0_conv0_channels": 1 / 2,  # 10 is half way from 1 to 100 in the log
        "block0_conv0_stride": 1,
        "block0_conv0_padding": 1,
        "block0_conv0_batch_norm": 1,
        "block0_conv0_relu": 0,
        "block0_conv0_reduction": 1,
        "block0_conv1_padding": 0,
        "block0_residual": 0,
        "block0_pool_kind=average": 1,
        "block0_pool_kind=max": 0,
        "block0_pool_window": 1 / 2,
        "block0_has_branch": 0,
        "num_dense": 1 / 2,
        "dense0_units": math.log(28 / 4) / math.log(200 / 4),
        "learning_rate": 1 / 2,
        "pruning=channel": 1,
        "sparsity": math.log(0.2) / math.log(0.02),
    }
    for name, value in expected.items():
        assert columns[name] == (pytest.approx(value), True), name
    for name in (
        "block0_conv1_reduction",
        "block0_conv2_kernel",
        "block0_branch_units",
        "block1_num_convs",
        "block1_conv0_kind=regular",
        "input_branch_units",
        "dense1_units",
    ):
        assert columns[name] == (0, False), name


@PROPERTY
@given(st.integers(0, 2**32 - 1), INPUT_SHAPES, st.none() | BOUNDS)
def test_values_are_in_the_unit_box(seed, shape, bounds):
    try:
        genome = genomes.random_genome(np.random.default_rng(seed), shape, bounds)
    except GenomeError:
        return
    found = features(genome, bounds)
    assert found.values.dtype == np.float64 and found.active.dtype == bool
    assert found.values.shape == found.active.shape == (len(feature_names(bounds)),)
    assert found.values.min() >= 0 and found.values.max() <= 1
    assert not found.values[~found.active].any()


@PROPERTY
@given(random_genomes((20, 20, 1)), random_genomes((20, 20, 1)))
def test_the_vector_tells_genomes_apart(a, b):
    same = all(
        np.array_equal(x, y) for x, y in zip(features(a), features(b), strict=True)
    )
    assert same == (a == b)


def test_one_column_of_each_named_choice_is_hot():
    rng = np.random.default_rng(0)
    for _ in range(50):
        columns = _columns(genomes.random_genome(rng, (20, 20, 1)))
        groups = {}
        for name, (value, active) in columns.items():
            if "=" in name:
                groups.setdefault(name.split("=")[0], []).append((value, active))
        assert len(groups) == 9 + 3 + 1
        for group in groups.values():
            values, active = zip(*group, strict=True)
            assert len(set(active)) == 1
            assert sum(values) == active[0]


def test_ranges_of_one_value_hold_zero():
    bounds = Bounds(
        channels=(8, 8),
        kernel=(3, 3),
        learning_rate=(0.01, 0.01),
        sparsity=(0.5, 0.5),
        reduction=(0.5,),
    )
    columns = _columns(Genome(training=Training(0.01)), bounds)
    for name in ("block0_conv0_channels", "block0_conv0_kernel", "learning_rate"):
        assert columns[name] == (0, True)
    assert columns["sparsity"] == (0, True)


def test_genes_without_effect_change_nothing():
    a = Genome(blocks=(Block((Conv(reduction=0.1),), residual=True),))
    assert np.array_equal(features(a), features(Genome()))


def test_a_genome_out_of_bounds_is_refused():
    with pytest.raises(GenomeError, match=r"blocks\[0\].convs\[0\].channels = 128"):
        features(Genome(blocks=(Block((Conv(channels=128),)),)))
