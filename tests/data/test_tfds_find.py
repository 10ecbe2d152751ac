import importlib.util
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from spjax import data
from tests.data import tiny


@pytest.fixture(autouse=True)
def _no_data_dir(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


def _splits(train=30, test=6, shape=(6, 5, 1)):
    splits = {"train": (tiny.pixels(train, shape), np.arange(train) % 3)}
    if test:
        splits["test"] = (tiny.pixels(test, shape, seed=1), np.arange(test) % 3)
    return splits


def _message(name, **kwargs):
    with pytest.raises(data.DataError) as caught:
        data.load(name, **kwargs)
    message = str(caught.value)
    assert message.startswith(f"--dataset={name}") and "\n" not in message
    return message


def test_data_dir_then_environment_then_home(tmp_path, monkeypatch):
    sizes = {"arg": 30, "env": 33, "home/tensorflow_datasets": 36}
    for folder, size in sizes.items():
        tiny.prepare(tmp_path / folder, _splits(size))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert len(data.load("tiny_images").train) == 29
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "env"))
    assert len(data.load("tiny_images").train) == 26
    assert len(data.load("tiny_images", data_dir=tmp_path / "arg").train) == 24


def test_newest_version_unless_one_is_named(tmp_path):
    for version, size in (("1.9.0", 30), ("1.10.0", 33), ("1.10.0-x", 36)):
        if "-" not in version:
            tiny.prepare(tmp_path, _splits(size), version=version)
        else:  # not a version: passed over
            (tmp_path / "tiny_images" / version).mkdir()
    assert len(data.load("tiny_images", data_dir=tmp_path).train) == 26
    assert len(data.load("tiny_images:1.9.0", data_dir=tmp_path).train) == 24
    assert len(data.load("tiny_images:1.*.*", data_dir=tmp_path).train) == 26
    assert "no such prepared version" in _message(
        "tiny_images:3.0.0", data_dir=tmp_path
    )


def test_configurations(tmp_path):
    tiny.prepare(tmp_path, _splits(30), config="small")
    assert len(data.load("tiny_images", data_dir=tmp_path).train) == 24
    tiny.prepare(tmp_path, _splits(33), config="large")
    message = _message("tiny_images", data_dir=tmp_path)
    assert "choose one: tiny_images/large, tiny_images/small" in message
    assert len(data.load("tiny_images/large", data_dir=tmp_path).train) == 26
    assert "no such prepared" in _message("tiny_images/huge", data_dir=tmp_path)


def test_absent_set_is_answered_at_once(tmp_path):
    start = time.monotonic()
    message = _message("fashion_mnist", data_dir=tmp_path)
    assert time.monotonic() - start < 30  # TFDS itself would retry for minutes
    assert f"not found in {tmp_path}" in message
    assert "--download" in message and "--data_dir or TFDS_DATA_DIR" in message
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_get_near_matches(tmp_path):
    assert "did you mean mnist" in _message("mnits", data_dir=tmp_path)
    assert "digits" in _message("digit", data_dir=tmp_path)
    tiny.prepare(tmp_path, _splits())
    assert "tiny_images" in _message("tiny_image", data_dir=tmp_path)
    assert "is it misspelt?" in _message("qqqqqqqq", data_dir=tmp_path)
    assert "no such data set" in _message("mnits", data_dir=tmp_path, download=True)


@pytest.mark.parametrize("name", ["", "a b", "../mnist", "kaggle:foo", "a/b/c"])
def test_what_is_no_name(name, tmp_path):
    assert "not a name; use digits" in _message(name, data_dir=tmp_path)


_FAR = """
import sys
import tensorflow_datasets as tfds
from spjax import data
class SpjaxFar(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    url_infos = {"https://data.invalid/a.zip": None, "https://data.invalid/b.zip": None}
    def _info(self): return tfds.core.DatasetInfo(builder=self)
    def _split_generators(self, dl_manager): raise SystemExit("went on")
    def _generate_examples(self): raise SystemExit("went on")
try: data.load("spjax_far", data_dir=sys.argv[1], download=True)
except data.DataError as error: print(error)
"""


def test_download_asks_the_network_once_and_gives_up(tmp_path):
    # In a process of its own, whose proxy is a closed port: no host can be reached.
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    for scheme in ("http", "https", "all"):
        env[f"{scheme}_proxy"] = "http://127.0.0.1:9"
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", _FAR, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "--dataset=spjax_far --download: https://data.invalid cannot" in done.stdout
    assert "TFDS_DATA_DIR" in done.stdout and done.stdout.count("\n") == 1


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed"
)
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_download_says_what_is_missing_before_it_downloads(tmp_path, name):
    message = _message(name, data_dir=tmp_path, download=True)
    assert "pip install tensorflow-cpu" in message and "--data_dir" in message
    assert list(tmp_path.iterdir()) == []


class SpjaxDownloadable(tfds.core.GeneratorBasedBuilder):
    """Registered with TFDS, as its own sets are; needs no network to prepare."""

    VERSION = tfds.core.Version("1.0.0")
    problem: Exception | None = None

    def _info(self):
        features = {
            "image": tfds.features.Tensor(shape=(4, 4, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        if self.problem is not None:
            raise self.problem
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for key, image in enumerate(tiny.pixels(30, (4, 4, 1))):
            yield key, {"image": image, "label": key % 3}


def test_download_prepares_once_and_only_if_asked(tmp_path):
    name = "spjax_downloadable"
    assert "pass --download" in _message(name, data_dir=tmp_path)
    dataset = data.load(name, data_dir=tmp_path, download=True)
    assert len(dataset.train) + len(dataset.validation) + dataset.test_size == 30
    assert (tmp_path / name / "1.0.0" / "dataset_info.json").exists()
    again = data.load(name, data_dir=tmp_path)  # is there now
    assert again.fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (ModuleNotFoundError("gone", name="tensorflow"), "pip install tensorflow-cpu"),
        (ConnectionError("host is gone\nand more"), "host is gone; try again"),
        (OSError(28, "No space left on device"), "No space left on device; try again"),
    ],
)
def test_download_that_fails_is_one_line(tmp_path, monkeypatch, problem, expected):
    monkeypatch.setattr(SpjaxDownloadable, "problem", problem)
    message = _message("spjax_downloadable", data_dir=tmp_path, download=True)
    assert expected in message and "--data_dir" in message
