import inspect

import numpy as np
import pytest

from spjax import data
from tests.data import tiny


def _npz(path):
    np.savez(path, images=tiny.pixels(30), labels=np.arange(30) % 3)
    return f"npz:{path}"


@pytest.mark.parametrize("seed", [-1, 1.5, None, True])
def test_seed_must_be_a_whole_number(tmp_path, seed):
    with pytest.raises(data.DataError, match=f"split seed {seed}"):
        data.load(_npz(tmp_path / "a.npz"), seed=seed)


def test_seed_reaches_the_split_and_the_record(tmp_path):
    name = _npz(tmp_path / "a.npz")
    first, second = data.load(name, seed=0), data.load(name, seed=7)
    assert (first.split_seed, second.split_seed) == (0, 7)
    assert first.fingerprint != second.fingerprint


def test_every_kind_takes_size_and_grey(tmp_path):
    splits = {"train": (tiny.pixels(30, (6, 5, 3)), np.arange(30) % 3)}
    tiny.prepare(tmp_path, splits)
    np.savez(tmp_path / "a.npz", images=splits["train"][0], labels=splits["train"][1])
    for name in ("tiny_images", f"npz:{tmp_path}/a.npz"):
        dataset = data.load(name, data_dir=tmp_path, image_size=4, grey=True)
        assert dataset.input_shape == (4, 4, 1)
        assert dataset.test().images.shape == (6, 4, 4, 1)


def test_the_same_images_by_npz_and_tfds_have_the_same_pixels(tmp_path):
    images, labels = tiny.pixels(30), np.arange(30) % 3
    tiny.prepare(tmp_path, {"train": (images, labels)}, encoded="PNG")
    by_tfds = data.load("tiny_images", data_dir=tmp_path)
    by_npz = data.load(_npz(tmp_path / "a.npz"))
    every = [
        sorted(
            image.tobytes()
            for split in (d.train, d.validation, d.test())
            for image in split.images
        )
        for d in (by_tfds, by_npz)
    ]
    assert every[0] == every[1]


def test_image_size_is_checked_before_anything_is_opened():
    with pytest.raises(data.DataError, match="--image_size=0"):
        data.load("npz:/nowhere.npz", image_size=0)


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _npz(tmp_path / "a.npz")
    assert len(data.load("npz:~/a.npz").train) == 19


def test_public_names_are_documented():
    for name in data.__all__:
        assert inspect.getdoc(getattr(data, name)), name
    assert issubclass(data.DataError, ValueError)
