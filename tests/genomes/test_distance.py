import dataclasses

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
    Pool,
    Training,
    distance,
    embedding,
    features,
)
from tests.genomes.strategies import PROPERTY, random_genomes

SHAPE = (20, 20, 1)
RANDOM = random_genomes(SHAPE)


def _conv(**genes):
    return Genome(blocks=(Block((Conv(**genes),)),))


@PROPERTY
@given(RANDOM, RANDOM, RANDOM)
def test_a_metric(a, b, c):
    assert distance(a, a) == 0
    assert distance(a, b) == distance(b, a) >= 0
    assert (distance(a, b) < 1e-9) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12


@PROPERTY
@given(RANDOM, st.integers(0, 2**32 - 1))
def test_a_morph_is_near_but_elsewhere(parent, seed):
    child, _ = genomes.morph(np.random.default_rng(seed), parent, SHAPE)
    assert distance(parent, child) > 1e-4


@PROPERTY
@given(RANDOM, RANDOM)
def test_the_square_is_a_sum_over_columns(a, b):
    # The law of cosines per column, instead of the embedding.
    (x, in_x), (y, in_y) = features(a), features(b)
    weights = [0.5 if "=" in name else 1.0 for name in genomes.feature_names()]
    both = 2 - 2 * np.cos(np.pi / 2 * (x - y))
    square = np.where(in_x & in_y, both, in_x.astype(float) + in_y)
    assert distance(a, b) ** 2 == pytest.approx(np.dot(weights, square), abs=1e-9)


def test_worked_examples():
    # From one end of a range to the other; a different choice; a flag.
    ends = distance(_conv(kernel=2), _conv(kernel=2, channels=100))
    assert distance(_conv(channels=1), _conv(channels=100)) == pytest.approx(2**0.5)
    assert ends < 2**0.5
    assert distance(_conv(), _conv(kind="separable")) == pytest.approx(2**0.5)
    assert distance(_conv(), _conv(relu=False)) == pytest.approx(2**0.5)
    # The kind differs, and one genome alone has a reduction.
    assert distance(_conv(), _conv(kind="downsampled")) == pytest.approx(3**0.5)


def test_small_steps_are_small():
    steps = [0.5, 0.51, 0.6, 0.9]
    points = [Genome(training=Training(sparsity=s)) for s in steps]
    found = [distance(points[0], point) for point in points]
    assert found == sorted(found)
    assert 0 < found[1] < 0.05


def test_genes_without_effect_are_no_distance():
    a = Genome(blocks=(Block(pool=Pool("none", 4), residual=True),))
    assert distance(a, Genome()) == 0
    b = dataclasses.replace(a, training=Training(sparsity=0.5000001))
    assert distance(b, Genome()) == 0


def test_the_embedding_has_two_columns_per_feature():
    bounds = Bounds(num_blocks=(1, 2))
    found = embedding(Genome(), bounds)
    values, active = features(Genome(), bounds)
    assert found.shape == (2 * len(values),)
    squares = found[: len(values)] ** 2 + found[len(values) :] ** 2
    weights = [0.5 if "=" in name else 1.0 for name in genomes.feature_names(bounds)]
    np.testing.assert_allclose(squares, active * weights)
