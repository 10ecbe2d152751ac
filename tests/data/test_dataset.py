import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spjax import data
from spjax.data.dataset import MIN_STD


def _split(n=3, shape=(4, 5, 1)):
    rng = np.random.default_rng(n)
    images = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    return data.Split(images, np.arange(n, dtype=np.int32) % 2)


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        np.uint8,
        st.tuples(
            st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)
        ),
    )
)
def test_normalisation_is_mean_and_std_per_channel(images):
    fitted = data.fit_normalisation(images)
    for c in range(images.shape[-1]):
        channel = images[..., c].astype(np.float64)
        np.testing.assert_allclose(fitted.mean[c], channel.mean(), rtol=1e-12)
        std = max(channel.std(), MIN_STD)
        np.testing.assert_allclose(fitted.std[c], std, rtol=1e-9)


def test_normalisation_over_more_than_one_chunk():
    images = np.random.default_rng(0).integers(0, 256, (9001, 2, 1, 2), dtype=np.uint8)
    fitted = data.fit_normalisation(images)
    expected = images.reshape(-1, 2).astype(np.float64)
    np.testing.assert_allclose(fitted.mean, expected.mean(0), rtol=1e-12)
    np.testing.assert_allclose(fitted.std, expected.std(0), rtol=1e-12)


def test_constant_channel_gets_the_floor():
    images = np.zeros((5, 2, 2, 2), np.uint8)
    images[..., 1] = 200
    fitted = data.fit_normalisation(images)
    assert fitted.mean == (0.0, 200.0)
    assert fitted.std == (MIN_STD, MIN_STD)
    assert not fitted(images).any()


def test_normalisation_applies_per_channel_in_float32():
    normalisation = data.Normalisation(mean=(100.0, 50.0), std=(50.0, 25.0))
    pixels = np.array([[[[0, 0], [150, 100]]]], np.uint8)
    out = normalisation(pixels)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, [[[[-2, -2], [1, 2]]]])


def test_fitted_normalisation_gives_zero_mean_and_unit_variance():
    images = _split(50).images
    out = data.fit_normalisation(images)(images)
    np.testing.assert_allclose([out.mean(), out.std()], [0, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("images", "labels", "error"),
    [
        (np.zeros((2, 3, 3, 1), np.float32), np.zeros(2, np.int32), TypeError),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, np.int32), TypeError),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int64), TypeError),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros((2, 1), np.int32), TypeError),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(3, np.int32), ValueError),
    ],
)
def test_split_refuses_wrong_arrays(images, labels, error):
    with pytest.raises(error):
        data.Split(images, labels)


def test_split_has_a_length_and_a_short_text():
    split = _split(7)
    assert len(split) == 7
    assert repr(split) == "Split(uint8 [7, 4, 5, 1])"


def _dataset(read_test):
    train = _split(4)
    return data.Dataset(
        name="toy",
        train=train,
        validation=_split(2),
        num_classes=2,
        class_names=("a", "b"),
        normalisation=data.fit_normalisation(train.images),
        notes=("a note",),
        split_seed=3,
        fingerprint="abc",
        input_shape=(4, 5, 1),
        test_size=6,
        read_test=read_test,
    )


def test_test_split_is_read_on_call_and_not_kept():
    calls = []

    def read_test():
        calls.append(1)
        return _split(6)

    dataset = _dataset(read_test)
    assert dataset.describe()["sizes"]["test"] == 6 and "toy" in repr(dataset)
    assert not calls
    assert len(dataset.test()) == 6
    dataset.test()
    assert len(calls) == 2


def test_describe_is_plain_json():
    dataset = _dataset(lambda: _split(6))
    described = json.loads(json.dumps(dataset.describe()))
    assert described["sizes"] == {"train": 4, "validation": 2, "test": 6}
    assert described["split_seed"] == 3
    assert described["input_shape"] == [4, 5, 1]
    assert described["class_names"] == ["a", "b"]
    assert described["normalisation"]["mean"] == list(dataset.normalisation.mean)
    assert described["normalisation"]["std"] == list(dataset.normalisation.std)
    assert described["notes"] == ["a note"]


def test_dataset_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        _dataset(None).name = "other"


def test_pixels_count_once_whatever_their_channels():
    for channels in (1, 3):
        split = _split(7, (4, 5, channels))
        assert split.num_pixels == split.images[..., 0].size == 140
