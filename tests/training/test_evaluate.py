"""Predictions do not depend on how images are grouped; errors are counted by hand."""

import numpy as np
import pytest

from spjax import networks, training
from spjax.data import Normalisation, Split
from spjax.genomes import Genome

NORMALISATION = Normalisation((10.0, 20.0), (3.0, 4.0))


@pytest.fixture(scope="module")
def case():
    genome = Genome(downsample=2)
    variables = networks.init_variables(genome, (4, 4, 2), 3, 0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 8, 8, 2), np.uint8)
    return genome, variables, images


def test_batches_make_no_difference(case):
    genome, variables, images = case
    small = networks.downsample(images, 2)
    logits = training.predict(genome, variables, small, 3, NORMALISATION)
    assert logits.shape == (300, 3)
    x = (small.astype(np.float32) - [10.0, 20.0]) / [3.0, 4.0]
    module = networks.build(genome, 3)
    expected = module.apply(variables, x.astype(np.float32))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    few = training.predict(genome, variables, small[:7], 3, NORMALISATION)
    np.testing.assert_allclose(few, logits[:7], rtol=1e-5, atol=1e-5)


def test_error_rate_downsamples_and_counts(case):
    genome, variables, images = case
    small = networks.downsample(images, 2)
    logits = training.predict(genome, variables, small, 3, NORMALISATION)
    labels = np.argmax(logits, -1).astype(np.int32)
    labels[:60] = (labels[:60] + 1) % 3
    split = Split(images, labels)
    error = training.error_rate(genome, variables, split, 3, NORMALISATION)
    assert error == pytest.approx(60 / 300)


def test_errors_by_hand():
    logits = np.array([[1, 2], [3, 1], [0, 5], [np.nan, 0]])
    assert training.error_of(logits, np.array([1, 0, 0, 0])) == pytest.approx(0.5)
