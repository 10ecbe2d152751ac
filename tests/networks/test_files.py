"""Weights survive the way to disk and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import networks

NAMES = st.text("abcxyz_0", min_size=1, max_size=5)
ARRAYS = st.builds(
    lambda shape, seed: np.random.default_rng(seed).normal(size=shape).astype("f4"),
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(0, 9),
)
TREES = st.dictionaries(
    NAMES, st.dictionaries(NAMES, ARRAYS, min_size=1, max_size=3), max_size=3
)


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return a.dtype == b.dtype and np.array_equal(a, b)


@settings(max_examples=30, deadline=None)
@given(TREES)
def test_round_trip(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("npz") / "weights.npz"
    networks.save_tree(path, tree)
    assert equal(networks.load_tree(path), tree)


def test_any_numpy_reads_the_paths(tmp_path):
    tree = {"params": {"conv": {"kernel": np.arange(4.0)}}, "mask": np.array(True)}
    networks.save_tree(tmp_path / "w.npz", tree)
    with np.load(tmp_path / "w.npz", allow_pickle=False) as archive:
        assert archive.files == ["mask", "params/conv/kernel"]
        assert archive["params/conv/kernel"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04damaged"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(networks.FileError, match="broken.npz"):
        networks.load_tree(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(networks.FileError, match="absent.npz: no such file"):
        networks.load_tree(tmp_path / "absent.npz")


def test_pickled_objects_are_refused(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(networks.FileError, match="objects.npz"):
        networks.load_tree(path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.npz"
    networks.save_tree(path, {"a": np.zeros(2)})

    class Broken:
        def __array__(self, *args, **kwargs):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        networks.save_tree(path, {"a": Broken()})
    assert networks.load_tree(path)["a"].shape == (2,)
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]
