"""Which folders a run may have, and the flags that a resumed run gets back."""

import json
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import _cli, _run_folder, search
from spjax.search import Settings, run_file

assert search  # Defines the flags.
_SETTINGS = Settings(input_shape=(8, 8, 1), num_classes=3)


@pytest.fixture(autouse=True)
def _parsed(monkeypatch):
    # What a program's own flags are is told by its name.
    monkeypatch.setattr(sys, "argv", ["experiments.search"])
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["search"])


def _start(run_dir, **given):
    """A run as a program with these flags sets it up."""
    with flagsaver.as_parsed(**given):
        run_dir.mkdir(exist_ok=True)
        _run_folder.remember_flags(run_dir)
        config = {"flags": _run_folder.identity()}
        run_file.write_run_file(run_dir, _SETTINGS, config)


def _restored(run_dir, **given):
    """Flags after --resume, and whether there is a run to load."""
    with flagsaver.as_parsed(run_dir=str(run_dir), **given):
        whole = _run_folder.restore_flags(str(run_dir))
        return {**_cli.flag_values(), "whole": whole}


def test_a_resumed_run_gets_all_its_flags_back(tmp_path):
    _start(
        tmp_path,
        dataset="npz:a.npz",
        seed="3",
        grey="true",
        random_share="0.25",
        ram_bytes="900",
        trials="7",
        cache_dir="there",
    )
    found = _restored(tmp_path)
    assert found["whole"] is True
    assert (found["dataset"], found["seed"], found["grey"]) == ("npz:a.npz", 3, True)
    assert (found["random_share"], found["ram_bytes"]) == (0.25, 900)
    assert (found["trials"], found["cache_dir"], found["epochs"]) == (7, "there", None)


def test_what_and_how_long_may_change_but_not_what_is_searched(tmp_path):
    _start(tmp_path, seed="3", trials="7", workers="2")
    found = _restored(tmp_path, seed="3", trials="9", workers="1", data_dir="d")
    assert (found["trials"], found["workers"], found["data_dir"]) == (9, 1, "d")
    with pytest.raises(_cli.UsageError, match=r"--seed=4: .* started with --seed=3;"):
        _restored(tmp_path, seed="4")
    with pytest.raises(_cli.UsageError, match="--epochs=2: .* with no --epochs;"):
        _restored(tmp_path, epochs="2")


@pytest.mark.parametrize("content", [None, "[1,", "17", '["trials"]'])
def test_without_its_flags_file_a_run_still_resumes(tmp_path, capsys, content):
    _start(tmp_path, seed="3", trials="7")
    (tmp_path / "flags.json").unlink()
    if content is not None:
        (tmp_path / "flags.json").write_text(content)
    found = _restored(tmp_path, trials="5")
    assert (found["whole"], found["seed"], found["trials"]) == (True, 3, 5)
    assert capsys.readouterr().out.startswith("note: ")


def test_the_flags_file_cannot_change_what_is_searched(tmp_path):
    _start(tmp_path, seed="3")
    content = json.loads((tmp_path / "flags.json").read_text())
    content |= {"seed": 4, "no_such_flag": 1}
    (tmp_path / "flags.json").write_text(json.dumps(content))
    assert _restored(tmp_path)["seed"] == 3


def test_flags_that_do_not_read_are_named(tmp_path):
    _start(tmp_path, trials="7")
    (tmp_path / "flags.json").write_text('{"trials": "many"}')
    with pytest.raises(_cli.UsageError, match="--trials=many, which does not read"):
        _restored(tmp_path)


def test_a_set_up_that_was_cut_short_is_begun_anew_with_its_flags(tmp_path):
    _start(tmp_path, seed="3", trials="7")
    (tmp_path / "run.json").unlink()
    found = _restored(tmp_path, seed="5")  # Nothing was searched: it may differ.
    assert (found["whole"], found["seed"], found["trials"]) == (False, 5, 7)
    _run_folder.check_new(str(tmp_path))


@pytest.mark.parametrize("run_dir", ["", None])
def test_resuming_needs_a_name(run_dir):
    with pytest.raises(_cli.UsageError, match="--resume needs --run_dir=DIR"):
        _run_folder.restore_flags(run_dir)


def test_resuming_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("missing", "file", "."):
        with pytest.raises(_cli.UsageError, match="holds no run to resume"):
            _run_folder.restore_flags(str(tmp_path / name))


def _damage(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format_version=99), "another version .* 99"),
        (lambda c: c.pop("format_version"), "is damaged"),
        (lambda c: c["settings"].update(seed=-1), "is damaged"),
        (lambda c: c["config"].pop("flags"), "is damaged"),
        (lambda c: c["config"]["flags"].update(gone=1), "the flag --gone"),
        (lambda c: c["config"]["flags"].update(seed="x"), "--seed=x, which does not"),
    ],
)
def test_damaged_and_foreign_runs_are_named(tmp_path, change, message):
    _start(tmp_path)
    _damage(tmp_path / "run.json", change)
    with pytest.raises(_cli.UsageError, match=message) as caught:
        _restored(tmp_path)
    assert f"--run_dir={tmp_path}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_is_no_json_is_a_damaged_run(tmp_path):
    _start(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(_cli.UsageError, match="is damaged .* choose another folder"):
        _restored(tmp_path)


def test_a_new_run_overwrites_nothing(tmp_path):
    (tmp_path / "log.txt").write_text("mine")
    _run_folder.check_new(str(tmp_path))
    _run_folder.check_new(str(tmp_path / "not" / "yet"))
    (tmp_path / "front").mkdir()
    with pytest.raises(_cli.UsageError, match="holds front, which would be overwritt"):
        _run_folder.check_new(str(tmp_path))
    with pytest.raises(_cli.UsageError, match="log.txt is a file"):
        _run_folder.check_new(str(tmp_path / "log.txt"))
    with pytest.raises(_cli.UsageError, match="is empty"):
        _run_folder.check_new("")
    _start(tmp_path)
    with pytest.raises(_cli.UsageError, match="holds a run already: do this"):
        _run_folder.check_new(str(tmp_path), "do this")


def test_a_set_up_can_be_taken_back(tmp_path):
    _start(tmp_path, seed="3")
    (tmp_path / "data").mkdir()
    _run_folder.take_back(tmp_path)
    _run_folder.take_back(tmp_path)
    _run_folder.check_new(str(tmp_path))
    assert _restored(tmp_path)["seed"] == 3
