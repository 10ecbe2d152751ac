import errno
import json
import math
import os
import pathlib

import numpy as np
import pytest

from spjax.report import ReportError, read_json, write_bytes, write_json, write_text


def test_writes_the_content_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "folder" / "a.bin"
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(path.parent) == ["a.bin"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="a.txt: No space left on device"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_file_is_whole_before_it_takes_its_name(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    seen = {}

    def spy(source, target, replace=os.replace):
        seen["source"] = pathlib.Path(source).read_text()
        seen["target"] = pathlib.Path(target).exists()
        replace(source, target)

    monkeypatch.setattr(os, "replace", spy)
    write_text(path, "whole")
    assert seen == {"source": "whole", "target": False}


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ReportError, match="cannot write .*file/a.txt"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_new_file_is_readable_as_any_other(tmp_path):
    write_text(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    modes = [(tmp_path / name).stat().st_mode for name in ("ours", "plain")]
    assert modes[0] == modes[1]


def test_json_has_plain_types_and_no_nan(tmp_path):
    path = tmp_path / "a.json"
    content = {
        "int": np.int64(3),
        "float": np.float32(0.5),
        "bool": np.bool_(True),
        "array": np.arange(3),
        "tuple": (1, None),
        "nan": math.nan,
        "inf": -math.inf,
        "path": pathlib.PurePosixPath("a/b"),
        "text": "ä ✓",
        7: "number as key",
    }
    write_json(path, content)
    text = path.read_text(encoding="utf-8")
    assert "ä ✓" in text and text.endswith("}\n")
    # `parse_constant` is called for NaN and the infinities only.
    read = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert read == {
        "int": 3,
        "float": 0.5,
        "bool": True,
        "array": [0, 1, 2],
        "tuple": [1, None],
        "nan": None,
        "inf": None,
        "path": "a/b",
        "text": "ä ✓",
        "7": "number as key",
    }
    assert read_json(path) == read


def test_json_of_something_else_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ReportError, match="a set has no place"):
        write_json(tmp_path / "a.json", {"x": {1}})
    assert not os.listdir(tmp_path)


def test_half_a_surrogate_pair_is_written_as_json_can(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"name": "bad \udcff"})
    assert read_json(path) == {"name": "bad \udcff"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b'{"a": 1', "is not JSON"),
        (b"\xff\xfe\x00", "is not a text file"),
    ],
)
def test_unreadable_json_is_named(tmp_path, content, message):
    path = tmp_path / "front.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReportError, match=f"front.json {message}"):
        read_json(path)
