import numpy as np
import pytest

from spjax import data
from tests.data import tiny


def _cifar(root, classes=10, size=200):
    import tensorflow_datasets as tfds

    labels = np.arange(size) % classes
    splits = {
        "train": (tiny.pixels(size, (4, 4, 3)), labels),
        "test": (tiny.pixels(40, (4, 4, 3), seed=1), labels[:40]),
    }
    tiny.prepare(
        root,
        splits,
        name="cifar10",
        version="3.0.2",
        label=tfds.features.ClassLabel(num_classes=classes),
    )
    return splits


def test_labels_are_below_five_against_the_others(tmp_path):
    splits = _cifar(tmp_path)
    dataset = data.load("cifar10_binary", data_dir=tmp_path)
    assert dataset.name == "cifar10_binary" and dataset.num_classes == 2
    for read, key in (
        ([dataset.train, dataset.validation], "train"),
        ([dataset.test()], "test"),
    ):
        images, labels = splits[key]
        ten = dict(zip([i.tobytes() for i in images], labels, strict=True))
        for split in read:
            expected = [int(ten[image.tobytes()] >= 5) for image in split.images]
            np.testing.assert_array_equal(split.labels, expected)


def test_splits_are_those_of_cifar10(tmp_path):
    _cifar(tmp_path)
    ten = data.load("cifar10", data_dir=tmp_path)
    two = data.load("cifar10_binary", data_dir=tmp_path)
    np.testing.assert_array_equal(ten.train.images, two.train.images)
    np.testing.assert_array_equal(ten.validation.images, two.validation.images)
    assert ten.fingerprint != two.fingerprint


def test_grouping_is_said_first(tmp_path):
    _cifar(tmp_path)
    note = data.load("cifar10_binary", data_dir=tmp_path).notes[0]
    assert "class 0 is label < 5 (airplane, automobile, bird, cat, deer)" in note
    assert "class 1 is label >= 5 (dog, frog, horse, ship, truck)" in note


def test_absent_cifar10_names_the_flag_that_was_given(tmp_path):
    with pytest.raises(data.DataError) as caught:
        data.load("cifar10_binary", data_dir=tmp_path)
    message = str(caught.value)
    assert message.startswith("--dataset=cifar10_binary: ") and "--download" in message


def test_a_cifar10_of_another_number_of_classes_is_refused(tmp_path):
    _cifar(tmp_path, classes=8)
    with pytest.raises(data.DataError, match="has 8 classes, not 10"):
        data.load("cifar10_binary", data_dir=tmp_path)
