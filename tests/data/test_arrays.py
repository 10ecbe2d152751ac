import json
import multiprocessing

import numpy as np
import pytest

from spjax import data


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 6, 5, 3), dtype=np.uint8)
    path = tmp_path / "a.npz"
    np.savez(path, images=images, labels=np.arange(60) % 3)
    return data.load(f"npz:{path}", seed=4)


def test_round_trip(dataset, tmp_path):
    data.save_arrays(dataset, tmp_path / "arrays")
    opened = data.open_arrays(tmp_path / "arrays")
    for split in ("train", "validation"):
        for kind in ("images", "labels"):
            ours, theirs = (getattr(getattr(d, split), kind) for d in (dataset, opened))
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
            assert isinstance(theirs, np.memmap) and not theirs.flags.writeable
    assert opened.describe() == dataset.describe()
    assert opened.normalisation == dataset.normalisation  # floats round-trip exactly
    assert opened.input_shape == (6, 5, 3) and opened.class_names == ("0", "1", "2")


def test_the_test_split_is_never_written(dataset, tmp_path):
    data.save_arrays(dataset, tmp_path / "arrays")
    names = sorted(p.name for p in (tmp_path / "arrays").iterdir())
    assert names == [
        "meta.json",
        "train_images.npy",
        "train_labels.npy",
        "validation_images.npy",
        "validation_labels.npy",
    ]
    stored = b"".join(p.read_bytes() for p in (tmp_path / "arrays").iterdir())
    assert not any(image.tobytes() in stored for image in dataset.test().images)
    assert dataset.train.images[0].tobytes() in stored
    opened = data.open_arrays(tmp_path / "arrays")
    assert opened.test_size == dataset.test_size
    with pytest.raises(data.DataError, match="test split is not among"):
        opened.test()


def test_saving_again_writes_nothing_but_other_data_replaces(dataset, tmp_path):
    folder = tmp_path / "arrays"
    data.save_arrays(dataset, folder)
    times = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    data.save_arrays(dataset, folder)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == times
    other = data.load(dataset.name, seed=5)
    data.save_arrays(other, folder)
    assert data.open_arrays(folder).fingerprint == other.fingerprint
    np.testing.assert_array_equal(
        data.open_arrays(folder).train.images, other.train.images
    )


def test_damaged_folder_is_refused_and_mended_by_saving(dataset, tmp_path):
    folder = tmp_path / "arrays"
    for damage in (
        lambda: (folder / "meta.json").unlink(),
        lambda: (folder / "meta.json").write_text("{"),
        lambda: (folder / "meta.json").write_text('{"version": 1}'),
        lambda: (folder / "train_images.npy").unlink(),
        lambda: (folder / "train_images.npy").write_bytes(b"x" * 100),
        lambda: np.save(folder / "train_labels.npy", np.zeros(3, np.int32)),
        lambda: np.save(folder / "train_images.npy", np.zeros((1, 2, 2, 1))),
    ):
        data.save_arrays(dataset, folder)
        damage()
        with pytest.raises(data.DataError, match="no complete data set there"):
            data.open_arrays(folder)
    data.save_arrays(dataset, folder)
    assert len(data.open_arrays(folder).train) == len(dataset.train)


def test_another_version_is_refused(dataset, tmp_path):
    data.save_arrays(dataset, tmp_path)
    meta = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"version": 2}))
    with pytest.raises(data.DataError, match="version 2, not 1"):
        data.open_arrays(tmp_path)


def test_a_failed_write_leaves_no_half_file(dataset, tmp_path, monkeypatch):
    def full(file, array):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        data.save_arrays(dataset, tmp_path / "arrays")
    assert list((tmp_path / "arrays").iterdir()) == []


def _sum(folder):
    return int(data.open_arrays(folder).train.images.sum())


def test_a_spawned_worker_reads_the_same(dataset, tmp_path):
    data.save_arrays(dataset, tmp_path / "arrays")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        total = pool.apply(_sum, (str(tmp_path / "arrays"),))
    assert total == int(dataset.train.images.sum())
