import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import data
from spjax.data.assemble import assemble
from spjax.data.resize import Transform
from spjax.data.source import Part, Source


class _Recorder:
    """A part whose image i holds the number i, and that records what was read."""

    def __init__(self, labels, shape=(2, 2, 1), offset=0):
        self.labels = np.asarray(labels, np.int32)
        self.shape, self.offset = shape, offset
        self.read: list[int] = []
        self.label_reads = 0

    def part(self):
        return Part(len(self.labels), self._labels, self._images)

    def _labels(self):
        self.label_reads += 1
        return self.labels

    def _images(self, indices, transform):
        self.read += [int(i) for i in indices]
        images = np.zeros((len(indices), *self.shape), np.uint8)
        flat = images.reshape(len(indices), -1)
        numbers = np.asarray(indices) + self.offset
        flat[:, 0], flat[:, 1] = numbers % 256, numbers // 256
        return images


def _ids(split):
    flat = split.images.reshape(len(split), -1).astype(int)
    return flat[:, 0] + 256 * flat[:, 1]


def _source(groups=None, classes=None, **recorders):
    count = classes or int(recorders["train"].labels.max()) + 1
    return Source(
        name="toy",
        class_names=tuple(f"class{c}" for c in range(count)),
        parts={name: recorder.part() for name, recorder in recorders.items()},
        identity=("toy", "1"),
        groups=groups,
    )


def _balanced(n, classes=10):
    return np.arange(n) % classes


def test_sizes_of_mnist_and_cifar10():
    for total, left in ((60_000, 55_000), (50_000, 45_000)):
        train, test = _Recorder(_balanced(total)), _Recorder(_balanced(10_000))
        dataset = assemble(_source(train=train, test=test), Transform(), 0)
        assert len(dataset.train) == left
        assert len(dataset.validation) == 5_000
        assert dataset.test_size == 10_000
        np.testing.assert_array_equal(
            np.bincount(dataset.validation.labels), [500] * 10
        )


def test_own_test_split_is_not_touched_before_test_is_called():
    train, test = _Recorder(_balanced(100)), _Recorder(_balanced(30), offset=1000)
    dataset = assemble(_source(train=train, test=test), Transform(), 0)
    assert test.read == [] and test.label_reads == 0
    split = dataset.test()
    np.testing.assert_array_equal(_ids(split), np.arange(1000, 1030))
    np.testing.assert_array_equal(split.labels, test.labels)


def test_carved_test_images_are_not_read_before_test_is_called():
    train = _Recorder(_balanced(200))
    dataset = assemble(_source(train=train), Transform(), 0)
    before = set(train.read)
    assert len(before) == len(dataset.train) + len(dataset.validation) == 160
    test = dataset.test()
    assert len(test) == dataset.test_size == 40
    assert set(_ids(test)) == set(range(200)) - before
    assert any("40 of 200" in note for note in dataset.notes)


def test_labels_stay_with_their_images():
    labels = np.random.default_rng(0).integers(0, 4, 300)
    dataset = assemble(_source(train=_Recorder(labels)), Transform(), 5)
    for split in (dataset.train, dataset.validation, dataset.test()):
        np.testing.assert_array_equal(split.labels, labels[_ids(split)])


def test_training_images_are_shuffled():
    labels = np.repeat([0, 1], 500)
    dataset = assemble(_source(train=_Recorder(labels)), Transform(), 0)
    # The first 100 of 640 would all be class 0 if the order were the source's.
    assert 25 < dataset.train.labels[:100].sum() < 75


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(3, 30), min_size=2, max_size=6),
    st.integers(0, 100),
    st.integers(0, 10**6),
)
def test_any_three_images_per_class_are_enough(counts, shuffle, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(shuffle).permutation(labels)
    dataset = assemble(_source(train=_Recorder(labels)), Transform(), seed)
    splits = [dataset.train, dataset.validation, dataset.test()]
    ids = np.concatenate([_ids(split) for split in splits])
    assert sorted(ids) == list(range(len(labels)))
    for split in splits:
        assert set(split.labels) == set(range(len(counts)))


def test_own_validation_is_used_as_it_is():
    recorders = {
        "train": _Recorder(_balanced(50)),
        "validation": _Recorder(_balanced(20), offset=500),
        "test": _Recorder(_balanced(10), offset=900),
    }
    dataset = assemble(_source(**recorders), Transform(), 0)
    assert sorted(_ids(dataset.train)) == list(range(50))
    assert sorted(_ids(dataset.validation)) == list(range(500, 520))
    assert sorted(_ids(dataset.test())) == list(range(900, 910))


def test_test_is_carved_when_only_validation_is_there():
    recorders = {
        "train": _Recorder(_balanced(50)),
        "validation": _Recorder(_balanced(20), offset=500),
    }
    dataset = assemble(_source(**recorders), Transform(), 0)
    assert len(dataset.train) == 40
    assert sorted(_ids(dataset.validation)) == list(range(500, 520))
    assert set(_ids(dataset.test())) == set(range(50)) - set(_ids(dataset.train))


def test_same_seed_same_splits_other_seed_other_splits():
    def ids(seed):
        dataset = assemble(_source(train=_Recorder(_balanced(100))), Transform(), seed)
        return [tuple(_ids(s)) for s in (dataset.train, dataset.validation)]

    assert ids(1) == ids(1)
    assert ids(1)[0] != ids(2)[0] and set(ids(1)[1]) != set(ids(2)[1])


def test_normalisation_sees_the_training_split_alone():
    train, test = _Recorder(_balanced(100)), _Recorder(_balanced(30), offset=9999)
    dataset = assemble(_source(train=train, test=test), Transform(), 0)
    assert dataset.normalisation == data.fit_normalisation(dataset.train.images)
    both = np.concatenate([dataset.train.images, dataset.validation.images])
    assert dataset.normalisation != data.fit_normalisation(both)


def test_groups_are_applied_after_splitting():
    groups = (0, 0, 0, 0, 0, 1, 1, 1, 1, 1)
    labels = np.random.default_rng(1).permutation(_balanced(500))
    plain = assemble(_source(train=_Recorder(labels)), Transform(), 0)
    source = dataclasses.replace(
        _source(train=_Recorder(labels), groups=groups), class_names=("low", "high")
    )
    # Class counts are checked per original label, whose names are gone: see below.
    grouped = assemble(source, Transform(), 0)
    np.testing.assert_array_equal(_ids(plain.train), _ids(grouped.train))
    for a, b in ((plain.train, grouped.train), (plain.test(), grouped.test())):
        np.testing.assert_array_equal(b.labels, (a.labels >= 5).astype(np.int32))
    assert grouped.num_classes == 2


@pytest.mark.parametrize("parts", [("train",), ("train", "test")])
def test_class_with_one_image_is_refused_by_name(parts):
    train = _Recorder([0, 0, 0, 0, 1, 2, 2, 2, 2])
    recorders = {name: train for name in parts}
    with pytest.raises(data.DataError) as caught:
        assemble(_source(**recorders), Transform(), 0)
    message = str(caught.value)
    assert "--dataset=toy: class 'class1' has only 1 image" in message
    assert f"at least {4 - len(parts)}" in message


def test_two_images_are_too_few_if_both_splits_are_drawn():
    train, test = _Recorder([0, 0, 0, 1, 1]), _Recorder([0, 1])
    with pytest.raises(data.DataError, match="'class1' has only 2 images"):
        assemble(_source(train=train), Transform(), 0)
    dataset = assemble(_source(train=train, test=test), Transform(), 0)
    assert set(dataset.train.labels) == set(dataset.validation.labels) == {0, 1}


def test_one_class_is_no_classification():
    with pytest.raises(data.DataError, match="of one class"):
        assemble(_source(train=_Recorder([0] * 20)), Transform(), 0)


def test_a_class_that_never_occurs_is_left_alone():
    source = _source(train=_Recorder(_balanced(40, 2)), classes=3)
    assert assemble(source, Transform(), 0).num_classes == 3


def test_validation_and_test_of_another_shape_are_refused():
    train, odd = _Recorder(_balanced(40)), _Recorder(_balanced(40), shape=(3, 2, 1))
    with pytest.raises(data.DataError, match="validation images are 3x2x1"):
        assemble(_source(train=train, validation=odd, test=train), Transform(), 0)
    dataset = assemble(_source(train=train, test=odd), Transform(), 0)
    with pytest.raises(data.DataError, match="test images are 3x2x1.*2x2x1"):
        dataset.test()


def test_empty_splits_are_refused():
    train, empty = _Recorder(_balanced(40)), _Recorder([])
    with pytest.raises(data.DataError, match="its validation split is empty"):
        assemble(_source(train=train, validation=empty, test=train), Transform(), 0)
    with pytest.raises(data.DataError, match="its test split is empty"):
        assemble(_source(train=train, test=empty), Transform(), 0)


def test_fingerprint_tells_data_apart():
    def fingerprint(labels=None, transform=None, seed=0, test=10, **changes):
        recorders = {
            "train": _Recorder(_balanced(60) if labels is None else labels),
            "test": _Recorder(_balanced(test)),
        }
        source = dataclasses.replace(_source(classes=10, **recorders), **changes)
        return assemble(source, transform or Transform(), seed).fingerprint

    base = fingerprint()
    assert base == fingerprint() and len(base) == 16
    other_labels = _balanced(60)
    other_labels[[0, 1]] = other_labels[[1, 0]]
    others = [
        fingerprint(seed=1),
        fingerprint(test=20),
        fingerprint(labels=other_labels),
        fingerprint(transform=Transform(grey=True)),
        fingerprint(transform=Transform(image_size=2)),
        fingerprint(identity=("toy", "2")),
    ]
    assert len({base, *others}) == 1 + len(others)
