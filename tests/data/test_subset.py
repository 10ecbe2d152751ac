import numpy as np
import pytest

from spjax import data


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_keeps_the_first_images_and_every_other_split(digits):
    small = data.subset(digits, 200)
    assert len(small.train) == 200
    np.testing.assert_array_equal(small.train.images, digits.train.images[:200])
    np.testing.assert_array_equal(small.train.labels, digits.train.labels[:200])
    assert small.validation is digits.validation
    assert len(small.test()) == digits.test_size
    pixels = digits.train.images[:200].astype(np.float64)
    assert small.normalisation.mean[0] == pytest.approx(pixels.mean())
    assert small.normalisation.std[0] == pytest.approx(pixels.std())


def test_is_told_apart_from_the_whole_and_from_other_parts(digits):
    prints = {data.subset(digits, n).fingerprint for n in (200, 201, 10**6)}
    assert len(prints) == 3 and digits.fingerprint in prints
    assert data.subset(digits, 200).fingerprint in prints
    assert "200 of" in data.subset(digits, 200).notes[-1]


def test_more_images_than_there_are_is_all_of_them(digits):
    assert data.subset(digits, len(digits.train)) is digits


@pytest.mark.parametrize(
    "count, words", [(0, "train_images = 0 must be"), (3, "no image of class")]
)
def test_too_few_images_are_refused(digits, count, words):
    with pytest.raises(data.DataError, match=words):
        data.subset(digits, count)
