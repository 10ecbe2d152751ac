import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from spjax import data
from spjax.data.tfds_source import _keys
from tests.data import tiny


@pytest.fixture(autouse=True)
def _no_data_dir(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


def _splits(train=30, test=6, shape=(6, 5, 1)):
    splits = {"train": (tiny.pixels(train, shape), np.arange(train) % 3)}
    if test:
        splits["test"] = (tiny.pixels(test, shape, seed=1), np.arange(test) % 3)
    return splits


def _assert_is(splits_read, images, labels):
    """The splits hold these images, each once and with its label, in any order."""
    label_of = dict(zip([i.tobytes() for i in images], labels, strict=True))
    seen = []
    for split in splits_read:
        for image, label in zip(split.images, split.labels, strict=True):
            assert label_of[image.tobytes()] == label
            seen.append(image.tobytes())
    assert sorted(seen) == sorted(label_of)


def _message(name, **kwargs):
    with pytest.raises(data.DataError) as caught:
        data.load(name, **kwargs)
    message = str(caught.value)
    assert message.startswith(f"--dataset={name}") and "\n" not in message
    return message


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("encoded", [None, "PNG"])
def test_reads_tensors_and_png(tmp_path, encoded, channels):
    splits = _splits(shape=(6, 5, channels))
    tiny.prepare(tmp_path, splits, encoded=encoded)
    dataset = data.load("tiny_images", data_dir=tmp_path)
    assert dataset.input_shape == (6, 5, channels)
    assert dataset.class_names == ("x", "y", "z")
    assert (len(dataset.train), len(dataset.validation)) == (24, 6)
    _assert_is([dataset.train, dataset.validation], *splits["train"])
    _assert_is([dataset.test()], *splits["test"])
    assert dataset.notes == ()


def test_reads_more_than_one_chunk(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2500, 2, 2, 1), dtype=np.uint8)
    images[..., 0, 0, 0] = np.arange(2500) % 256
    images[..., 0, 1, 0] = np.arange(2500) // 256  # so that all are distinct
    tiny.prepare(tmp_path, {"train": (images, np.arange(2500) % 3)})
    dataset = data.load("tiny_images", data_dir=tmp_path)
    splits = [dataset.train, dataset.validation, dataset.test()]
    _assert_is(splits, images, np.arange(2500) % 3)


def test_same_as_tfds_own_decoding(tmp_path):
    builder = tiny.prepare(tmp_path, _splits(test=0), encoded="JPEG")
    dataset = data.load("tiny_images", data_dir=tmp_path)
    own = [row["image"] for row in builder.as_data_source("train")]
    splits = [dataset.train, dataset.validation, dataset.test()]
    ours = sorted(i.tobytes() for split in splits for i in split.images)
    assert ours == sorted(image.tobytes() for image in own)


def test_jpeg_is_said(tmp_path):
    tiny.prepare(tmp_path, _splits(), encoded="JPEG")
    notes = data.load("tiny_images", data_dir=tmp_path).notes
    assert (
        len(notes) == 1 and "100% of the training images are stored as JPEG" in notes[0]
    )


def test_test_file_is_not_opened_before_it_is_asked_for(tmp_path):
    builder = tiny.prepare(tmp_path, _splits())
    for path in pathlib.Path(builder.data_path).glob("*-test.*"):
        path.unlink()
    dataset = data.load("tiny_images", data_dir=tmp_path)
    assert dataset.test_size == 6
    with pytest.raises(data.DataError, match="is missing; prepare the set again"):
        dataset.test()


def test_own_validation_split(tmp_path):
    splits = _splits() | {"validation": (tiny.pixels(9, seed=2), np.arange(9) % 3)}
    tiny.prepare(tmp_path, splits)
    dataset = data.load("tiny_images", data_dir=tmp_path)
    _assert_is([dataset.train], *splits["train"])
    _assert_is([dataset.validation], *splits["validation"])


def test_other_feature_names_come_from_supervised_keys(tmp_path):
    splits = _splits()
    tiny.prepare(tmp_path, splits, image_key="picture", label_key="species")
    dataset = data.load("tiny_images", data_dir=tmp_path)
    _assert_is([dataset.train, dataset.validation], *splits["train"])


def test_image_and_label_need_no_supervised_keys(tmp_path):
    tiny.prepare(tmp_path, _splits(), supervised=False)
    assert len(data.load("tiny_images", data_dir=tmp_path).train) == 24


def test_images_of_mixed_size(tmp_path):
    images = [tiny.pixels(1, (6 + k // 20, 5, 3), seed=k)[0] for k in range(30)]
    splits = {"train": (_Varied(images), np.arange(30) % 3)}
    tiny.prepare(tmp_path, splits, encoded="PNG")
    message = _message("tiny_images", data_dir=tmp_path)
    assert "7x5x3" in message and "6x5x3" in message and "--image_size=N" in message
    assert "train image " in message
    dataset = data.load("tiny_images", data_dir=tmp_path, image_size=4)
    assert dataset.input_shape == (4, 4, 3)


class _Varied(list):
    """A list of images with the shape that ``tiny.prepare`` asks for."""

    shape = (30, None, None, 3)


def test_unlabelled_images_are_refused(tmp_path):
    images, labels = _splits()["train"]
    labels[4] = -1
    tiny.prepare(tmp_path, {"train": (images, labels)})
    assert "has label -1, outside 0..2" in _message("tiny_images", data_dir=tmp_path)


@pytest.mark.parametrize(
    "features",
    [
        {"label": tfds.features.Scalar(np.int64)},
        {"image": tfds.features.Tensor(shape=(6, 5, 1), dtype=np.float32)},
        {"image_key": "a", "label_key": "b", "supervised": False},
    ],
)
def test_sets_of_another_kind_are_refused(tmp_path, features):
    splits = _splits()
    if "image" in features:
        splits = {k: (x.astype(np.float32), y) for k, (x, y) in splits.items()}
    tiny.prepare(tmp_path, splits, **features)
    message = _message("tiny_images", data_dir=tmp_path)
    assert "not an image-classification set" in message


def test_a_set_without_train_is_refused(tmp_path):
    tiny.prepare(tmp_path, {"test": _splits()["test"]})
    message = _message("tiny_images", data_dir=tmp_path)
    assert "has no train split (it has: test)" in message


def test_another_file_format_is_refused(tmp_path):
    builder = tiny.prepare(tmp_path, _splits())
    info = pathlib.Path(builder.data_path) / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    message = _message("tiny_images", data_dir=tmp_path)
    assert "was prepared as tfrecord; only array_record" in message


def test_damaged_files_are_one_line(tmp_path):
    builder = tiny.prepare(tmp_path, _splits())
    folder = pathlib.Path(builder.data_path)
    (record,) = folder.glob("*-train.*")
    record.write_bytes(record.read_bytes()[:50])
    message = _message("tiny_images", data_dir=tmp_path)
    assert "cannot read split 'train'" in message
    (folder / "dataset_info.json").write_text("{")
    assert "cannot read the description" in _message("tiny_images", data_dir=tmp_path)


def test_a_damaged_image_is_named(tmp_path, monkeypatch):
    good = tiny.encode
    broken = iter([k % 30 == 7 for k in range(60)])
    monkeypatch.setattr(
        tiny, "encode", lambda *a: good(*a)[: 40 if next(broken) else None]
    )
    tiny.prepare(tmp_path, _splits(), encoded="PNG")
    message = _message("tiny_images", data_dir=tmp_path)
    assert "train image " in message and "cannot be decoded" in message


def test_reading_needs_neither_tensorflow_nor_network(tmp_path):
    tiny.prepare(tmp_path, _splits(), encoded="PNG")
    code = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from spjax import data\n"
        "dataset = data.load('tiny_images', data_dir=sys.argv[1])\n"
        "print(len(dataset.train), len(dataset.test()), 'tensorflow' in sys.modules)\n"
        "try: data.load('cifar10', data_dir=sys.argv[1])\n"
        "except data.DataError as error: print(error)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("24 6 False\n--dataset=cifar10: not found in")


def test_the_room_imports_no_tfds_until_a_set_is_opened():
    code = (
        "import sys; from spjax import data\n"
        "heavy = {'tensorflow_datasets', 'jax', 'sklearn'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("name", ["mnist", "cifar10", "fashion_mnist", "svhn_cropped"])
def test_real_sets_are_recognised_by_their_declared_features(name, tmp_path):
    info = tfds.builder(name, data_dir=str(tmp_path)).info
    assert _keys(name, info) == ("image", "label")


@pytest.mark.parametrize("name", ["imdb_reviews", "voc"])
def test_real_sets_of_another_kind_are_refused(name, tmp_path):
    info = tfds.builder(name, data_dir=str(tmp_path)).info
    with pytest.raises(
        data.DataError, match=f"{name}: not an image-classification set"
    ):
        _keys(name, info)
