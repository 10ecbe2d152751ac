import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from spjax import data
from spjax.data.digits import prepare_digits


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The digits, prepared once for the tests that only read them."""
    folder = tmp_path_factory.mktemp("digits")
    prepare_digits(folder)
    return folder


def test_pixels_are_scikit_learns_scaled_to_255(prepared):
    dataset = data.load("digits", data_dir=prepared)
    source = load_digits()
    label_of = {
        np.floor(image * 255 / 16 + 0.5).astype(np.uint8).tobytes(): label
        for image, label in zip(source.images, source.target, strict=True)
    }
    count = 0
    for split in (dataset.train, dataset.validation, dataset.test()):
        for image, label in zip(split.images, split.labels, strict=True):
            assert label_of[image.tobytes()] == label
            count += 1
    assert count == len(source.target) == 1797
    assert dataset.train.images.max() == 255


def test_sizes_and_shape(prepared):
    dataset = data.load("digits", data_dir=prepared)
    sizes = (len(dataset.train), len(dataset.validation), dataset.test_size)
    assert sizes == (1150, 287, 360) == (*sizes[:2], len(dataset.test()))
    assert dataset.input_shape == (8, 8, 1)
    assert dataset.class_names == tuple("0123456789")
    assert set(dataset.test().labels) == set(range(10))


def test_test_images_are_not_among_the_others(prepared):
    dataset = data.load("digits", data_dir=prepared)
    seen = {i.tobytes() for i in dataset.train.images}
    seen |= {i.tobytes() for i in dataset.validation.images}
    source = load_digits()
    distinct = len({i.tobytes() for i in source.images})
    assert distinct == 1797  # so that pixels identify an image
    assert not seen & {i.tobytes() for i in dataset.test().images}


def test_test_file_is_not_opened_before_it_is_asked_for(tmp_path):
    folder = prepare_digits(tmp_path)
    for path in folder.glob("*-test.*"):
        path.unlink()
    dataset = data.load("digits", data_dir=tmp_path)
    assert dataset.test_size == 360
    with pytest.raises(data.DataError, match=r"test.*is missing"):
        dataset.test()


def test_same_data_wherever_and_whenever_prepared(prepared, tmp_path):
    first, second = (data.load("digits", data_dir=d) for d in (prepared, tmp_path))
    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.train.images, second.train.images)
    np.testing.assert_array_equal(first.test().images, second.test().images)
    assert (
        data.load("digits", data_dir=prepared, seed=1).fingerprint != first.fingerprint
    )


_PROGRAM = """
import sys
from absl import app, logging
from spjax import data
def main(argv):
    data.load("digits", data_dir=argv[1])
    logging.info("verbosity is as before")
app.run(main)
"""


def test_preparing_and_reading_print_nothing(tmp_path):
    # In an absl program, where TFDS' INFO lines would go to standard error.
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path), "--verbosity=0"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.endswith("verbosity is as before")


def test_where_it_is_prepared(tmp_path, monkeypatch):
    given, env = tmp_path / "given", tmp_path / "env"
    relative = "sklearn_digits/1.0.0"
    assert prepare_digits() == tmp_path / "cache" / "spjax" / relative
    assert prepare_digits(given) == tmp_path / "cache" / "spjax" / relative  # is there
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert prepare_digits(given) == given / relative
    monkeypatch.setenv("TFDS_DATA_DIR", str(env))
    assert prepare_digits() == env / relative
    assert not (tmp_path / "other").exists()


def test_read_only_data_dir_is_left_alone(tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    (shared / "mnist").mkdir(parents=True)
    shared.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setenv("TFDS_DATA_DIR", str(shared))
    try:
        folder = prepare_digits()
        assert folder.is_relative_to(tmp_path / "cache" / "spjax")
        assert [p.name for p in shared.iterdir()] == ["mnist"]
    finally:
        shared.chmod(stat.S_IRWXU)


def test_nowhere_to_write_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where a folder is needed")
    with pytest.raises(data.DataError) as caught:
        prepare_digits()
    assert "--data_dir=FOLDER" in str(caught.value)
    assert str(tmp_path / "cache" / "spjax") in str(caught.value)


_PREPARE = """
import sys, time
from spjax.data.digits import prepare_digits
while time.time() < float(sys.argv[2]): pass
print(prepare_digits(sys.argv[1]))
"""


def test_two_processes_may_prepare_at_once(tmp_path):
    import time

    command = [
        sys.executable,
        "-c",
        _PREPARE,
        str(tmp_path / "d"),
        str(time.time() + 4),
    ]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    racers = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [racer.communicate(timeout=90)[0].strip() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert outputs == [str(tmp_path / "d" / "sklearn_digits" / "1.0.0")] * 2
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["sklearn_digits"]
    assert len(data.load("digits", data_dir=tmp_path / "d").train) == 1150


def test_loser_of_the_race_uses_the_winners_folder(tmp_path, monkeypatch):
    # Whatever the timing above: the folder appears just before the loser's rename.
    winner = prepare_digits(tmp_path / "winner")
    target = tmp_path / "d" / "sklearn_digits" / "1.0.0"
    rename = os.rename

    def late(source, destination):
        if str(destination) == str(target):
            rename(winner, target)
        rename(source, destination)

    monkeypatch.setattr(os, "rename", late)
    assert prepare_digits(tmp_path / "d") == target
    monkeypatch.undo()
    assert len(data.load("digits", data_dir=tmp_path / "d").test()) == 360
