import zipfile

import numpy as np
import pytest

from spjax import data


def _arrays(n=60, shape=(5, 4), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    return images, np.arange(n) % classes


def _save(path, **arrays):
    np.savez(path, **arrays)
    return f"npz:{path}"


def _by_pixels(images):
    return {image.tobytes() for image in images}


def test_images_and_labels(tmp_path):
    images, labels = _arrays()
    dataset = data.load(_save(tmp_path / "a.npz", images=images, labels=labels))
    assert dataset.input_shape == (5, 4, 1)
    assert dataset.num_classes == 3 and dataset.class_names == ("0", "1", "2")
    sizes = [len(dataset.train), len(dataset.validation), dataset.test_size]
    assert sizes == [38, 10, 12]
    label_of = dict(zip([i.tobytes() for i in images], labels, strict=True))
    seen = set()
    for split in (dataset.train, dataset.validation, dataset.test()):
        for image, label in zip(split.images, split.labels, strict=True):
            assert label_of[image.tobytes()] == label
        seen |= _by_pixels(split.images)
    assert seen == _by_pixels(images)


def test_train_and_test_arrays(tmp_path):
    images, labels = _arrays(shape=(5, 4, 3))
    test_images, test_labels = _arrays(9, (5, 4, 3), seed=1)
    name = _save(
        tmp_path / "a.npz",
        x_train=images,
        y_train=labels[:, None],  # as CIFAR-10 is often saved
        x_test=test_images,
        y_test=test_labels.astype(np.uint8),
    )
    dataset = data.load(name)
    assert len(dataset.train) + len(dataset.validation) == 60
    assert not dataset.notes
    np.testing.assert_array_equal(dataset.test().images, test_images)
    np.testing.assert_array_equal(dataset.test().labels, test_labels)
    assert dataset.test().labels.dtype == np.int32


def test_test_images_are_not_read_before_they_are_asked_for(tmp_path):
    images, labels = _arrays(shape=(50, 50))
    path = tmp_path / "a.npz"
    _save(path, x_train=images, y_train=labels, x_test=images[:6], y_test=labels[:6])
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("x_test.npy")
    raw = bytearray(path.read_bytes())
    raw[entry.header_offset + 14_000] ^= 0xFF  # damages the pixels of x_test alone
    path.write_bytes(raw)
    dataset = data.load(f"npz:{path}")
    assert len(dataset.train) == 48
    with pytest.raises(data.DataError, match="cannot read array x_test"):
        dataset.test()


def test_size_and_grey(tmp_path):
    images, labels = _arrays(shape=(8, 8, 3))
    name = _save(tmp_path / "a.npz", images=images, labels=labels)
    assert data.load(name, image_size=4, grey=True).input_shape == (4, 4, 1)


def test_fingerprint_follows_every_array(tmp_path):
    images, labels = _arrays()
    arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    path = tmp_path / "a.npz"
    first = data.load(_save(path, **arrays)).fingerprint
    assert data.load(_save(path, **arrays)).fingerprint == first
    elsewhere = data.load(_save(tmp_path / "b.npz", **arrays)).fingerprint
    assert elsewhere == first  # moving a file does not change the data
    for key in arrays:
        changed = arrays[key].copy()
        changed[[0, 1]] = changed[[1, 0]]
        assert data.load(_save(path, **arrays | {key: changed})).fingerprint != first


def test_a_file_that_changes_under_a_run_is_noticed(tmp_path):
    images, labels = _arrays()
    path = tmp_path / "a.npz"
    dataset = data.load(_save(path, images=images, labels=labels))
    _save(path, images=images[::-1], labels=labels)
    with pytest.raises(data.DataError, match="changed while it was in use"):
        dataset.test()


def _message(tmp_path, **arrays):
    with pytest.raises(data.DataError) as caught:
        data.load(_save(tmp_path / "bad.npz", **arrays))
    message = str(caught.value)
    assert message.startswith(f"--dataset=npz:{tmp_path}/bad.npz: ")
    assert "\n" not in message
    return message


def test_wrong_arrays_are_refused(tmp_path):
    images, labels = _arrays()
    cases = [
        ({"images": images}, "holds images; it needs x_train"),
        ({}, "holds no arrays"),
        (
            {"x_train": images, "y_train": labels, "x_test": images},
            "must come together",
        ),
        ({"images": images / 255, "labels": labels}, r"images is float64 [60, 5, 4]"),
        ({"images": images[0], "labels": labels}, "images is uint8 [5, 4]; it must be"),
        ({"images": images[..., None, None], "labels": labels}, "must be uint8"),
        ({"images": images[:, None].repeat(9, 3), "labels": labels}, "4 channels"),
        ({"images": images[:50], "labels": labels}, "50 images but labels has 60"),
        ({"images": images, "labels": labels * 1.0}, "labels is float64 [60]"),
        ({"images": images, "labels": np.eye(60, 3)}, "labels is float64 [60, 3]"),
        ({"images": images, "labels": labels - 1}, "labels from -1 to 1"),
        ({"images": images, "labels": labels + 1}, "no training image has label 0"),
        ({"images": images, "labels": labels[:0]}, "60 images but labels has 0"),
        ({"images": images[:0], "labels": labels[:0]}, "holds no pixels"),
        ({"images": images, "labels": labels * 10**6}, "labels from 0 to 2000000"),
    ]
    for arrays, expected in cases:
        assert expected in _message(tmp_path, **arrays)


def test_a_class_of_one_image_is_refused(tmp_path):
    images, labels = _arrays()
    labels[5] = 3
    assert "class '3' has only 1 image" in _message(
        tmp_path, images=images, labels=labels
    )


def test_test_labels_beyond_the_training_classes_are_refused(tmp_path):
    images, labels = _arrays()
    dataset = {"x_train": images, "y_train": labels, "x_test": images}
    name = _save(tmp_path / "a.npz", **dataset, y_test=labels + 1)
    with pytest.raises(
        data.DataError, match="y_test holds labels from 1 to 3; .* 0 to 2"
    ):
        data.load(name).test()


def test_pickled_arrays_are_refused(tmp_path):
    images, _ = _arrays()
    objects = np.array([{"a": 1}] * 60, object)
    assert "labels is object [60]; it must be whole" in _message(
        tmp_path, images=images, labels=objects
    )


def test_missing_and_corrupt_files(tmp_path):
    with pytest.raises(data.DataError, match=r"none\.npz: no such file"):
        data.load(f"npz:{tmp_path}/none.npz")
    with pytest.raises(data.DataError, match="no such file"):
        data.load("npz:")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(data.DataError, match="cannot read this as an .npz"):
        data.load(f"npz:{tmp_path}/text.npz")
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(data.DataError, match="cannot read this as an .npz"):
        data.load(f"npz:{tmp_path}/plain.npy")


def test_a_truncated_archive_is_refused(tmp_path):
    images, labels = _arrays(600)
    _save(tmp_path / "a.npz", images=images, labels=labels)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(data.DataError, match="cannot read this as an .npz"):
        data.load(f"npz:{tmp_path}/a.npz")
