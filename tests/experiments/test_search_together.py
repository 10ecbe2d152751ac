"""Searches that train several networks at a time."""

import json
import os
import pathlib

import pytest
from absl.testing import flagsaver

from experiments import _backend, _cli, search
from spjax import data
from spjax import search as search_room
from tests.experiments import small, small_search
from tests.host_devices import run_on_four

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def one_process(monkeypatch):
    small_search.in_one_process(monkeypatch)


def _architectures(rows):
    """What each row trained but for the genes of training."""
    genomes = [json.loads(row["genome"]) for row in rows]
    return [json.dumps({**genome, "training": None}) for genome in genomes]


def test_interrupted_in_a_group_and_resumed(tmp_path, monkeypatch, capsys, one_process):
    dataset = data.load(small.write_npz(tmp_path / "small.npz"))
    options = {"trials": 6, "together": 4, "initial_trials": 8}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert small_search.run(whole, dataset, **options) == 0
    assert "6 trials of 1 epoch(s), 4 at a time, 1 worker(s)" in capsys.readouterr().out
    rows = small_search.rows(whole)
    assert [row["index"] for row in rows] == list("012345")
    shapes = _architectures(rows)
    assert len(set(shapes[:4])) == len(set(shapes[4:])) == 1
    # Two of a group had ended: they stay, the others are run.
    left, ran = [KeyboardInterrupt()], []

    def trial(spec, progress):
        ran.append(spec.index)
        if spec.index == 2 and left:
            raise left.pop()
        return small.quick_trial(spec, progress)

    monkeypatch.setattr(search_room, "run_trial", trial)
    assert small_search.run(cut, dataset, **options) == _cli.EXIT_INTERRUPTED
    assert small_search.run(cut, dataset, **options, resume=True) == 0
    kept = ("index", "genome_id", "parent", "edit", "status")
    assert [[row[name] for name in kept] for row in small_search.rows(cut)] == [
        [row[name] for name in kept] for row in rows
    ]
    with pytest.raises(_cli.UsageError, match="together=4, not together=2"):
        small_search.run(cut, dataset, **{**options, "together": 2}, resume=True)


@pytest.mark.parametrize(
    ("accelerator", "given", "expected"),
    [
        (False, {}, (min(2, os.cpu_count()), 1, 10, True)),
        (True, {}, (1, 16, 160, False)),
        (True, {"workers": "3", "together": "1"}, (3, 1, 10, True)),
        (True, {"together": "4", "warm_start": "x"}, (1, 4, 4, False)),
        (False, {"together": "4", "initial_trials": "7"}, (2, 4, 7, False)),
    ],
)
def test_what_is_done_by_default(
    tmp_path, monkeypatch, one_process, accelerator, given, expected
):
    found = small_search.options_taken(monkeypatch)
    monkeypatch.setattr(_backend, "has_accelerator", lambda: accelerator)
    # As the user has set it: nothing of it is left behind.
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setattr(os, "cpu_count", lambda: max(2, expected[0]))
    path = small.write_npz(tmp_path / "small.npz")
    with flagsaver.as_parsed(dataset=path, run_dir=str(tmp_path / "run"), **given):
        assert search.main([]) == 0
        # The run keeps it, whatever it is resumed on.
        assert _cli.flags.FLAGS.together == expected[1]
    (options,) = found
    got = (options.workers, options.together, options.initial_trials)
    assert (*got, options.early_stopping) == expected


def test_early_stopping_of_groups_is_refused(one_process):
    with (
        flagsaver.as_parsed(early_stopping="true", together="4"),
        pytest.raises(_cli.UsageError, match="no effect with --together=4: leave it"),
    ):
        search.main([])


def test_the_program_on_four_devices(tmp_path):
    """Real training of the embedded digits; the members are spread over the devices."""
    command = [
        *("-m", "experiments.search", "--run_dir=run"),
        *("--together=4", "--trials=6", "--epochs=1", "--initial_trials=4"),
        *("--workers=1", "--candidates=8", "--nolive_report"),
    ]
    cache = {"XDG_CACHE_HOME": str(tmp_path)}
    done = run_on_four(*command, cwd=tmp_path, env=cache)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "6 trials of 1 epoch(s), 4 at a time" in done.stdout
    rows = [r for r in small_search.rows(tmp_path / "run") if r["reading"] == "0"]
    assert [row["index"] for row in rows] == list("012345")
    assert {row["status"] for row in rows} == {"completed"}
    shapes = _architectures(rows)
    assert len(set(shapes[:4])) == len(set(shapes[4:])) == 1
    assert len({row["genome_id"] for row in rows}) == 6
    for row in rows:
        folder = search_room.trial_folder(tmp_path / "run", int(row["index"]))
        figures = small_search.read(folder / "result.json")
        assert figures["validation_error"] == pytest.approx(
            float(row["validation_error"])
        )
        history = small_search.read(folder / "history.json")
        assert len(history) == 1 and (folder / "deployed" / "weights.npz").exists()
    front = small_search.read(tmp_path / "run" / "front.json")
    assert front["points"] and front["header"]["flags"]["together"] == 4
