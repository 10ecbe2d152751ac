"""The replay of finished runs: counted by hand."""

import json
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import _cli, bench_early_stopping
from spjax import genomes, search
from spjax.search import early_stop

_SETTINGS = search.Settings(
    input_shape=(8, 8, 1), num_classes=10, limits=(("planned_arena", 2048),)
)
_GENOME = genomes.Genome(
    blocks=(genomes.Block(convs=(genomes.Conv(channels=30),)),),
    training=genomes.Training(1e-2, "none", 0.0),
)


def _row(index, curve, size):
    return {
        "index": index,
        "status": "completed",
        "genome": json.loads(genomes.to_json(_GENOME)),
        "validation_error": curve[-1],
        "validation_curve": curve,
        "model_size_nonzero": size,
        "planned_arena": size,
    }


def test_what_is_hopeless_is_stopped_and_counted():
    # Twelve curves that stay what they are; the first one is small and good.
    errors = (0.1, *(0.3 + 0.01 * n for n in range(11)))
    rows = [_row(n, [e] * 6, 1 if n == 0 else 1900) for n, e in enumerate(errors)]
    # One that is clearly dominated, one that comes out below all, one that failed.
    rows.append(_row(12, [0.9] * 6, 1900))
    rows.append(_row(13, [0.05] * 6, 1900))
    rows.append({"index": 14, "status": "failed", "genome": rows[0]["genome"]})
    table = search.stop_table(rows[:12], _SETTINGS, _GENOME, 6)
    assert table.to_beat == 0.1
    was = bench_early_stopping.replay(rows, _SETTINGS, 6)
    assert (was.trials, was.epochs, was.points) == (15, 84, 2)
    # At the rung after epoch 2 of 6.
    assert was.stopped >= 1 and was.saved == 4 * was.stopped and was.lost == 0
    assert was.volume == was.volume_left > 0


def test_a_point_that_would_be_lost_is_told(monkeypatch):
    # Late bloomers, after curves that taught otherwise.
    rows = [_row(n, [0.3 + 0.01 * n] * 6, 1) for n in range(12)]
    rows.append(_row(12, [0.9] * 5 + [0.001], 1900))
    was = bench_early_stopping.replay(rows, _SETTINGS, 6)
    assert was.stopped >= 1 and (was.lost, was.points) == (1, 2)
    assert was.volume_left < was.volume
    monkeypatch.setattr(early_stop, "FEWEST_CURVES", 99)
    was = bench_early_stopping.replay(rows, _SETTINGS, 6)
    assert (was.stopped, was.saved, was.lost) == (0, 0, 0)


def test_curves_of_older_runs_are_read_from_their_folders(tmp_path):
    folder = search.trial_folder(tmp_path, 0)
    folder.mkdir(parents=True)
    history = [{"epoch": 1, "validation_error": 0.5}]
    (folder / "history.json").write_text(json.dumps(history))
    rows = [{"index": 0}, {"index": 1}, {"index": 0, "validation_curve": [0.1]}]
    found = bench_early_stopping.with_curves(tmp_path, rows)
    assert [row.get("validation_curve") for row in found] == [[0.5], None, [0.1]]


def test_mistakes_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["experiments.bench_early_stopping"])
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["bench"])
    with pytest.raises(_cli.UsageError, match="--run_dirs is missing"):
        bench_early_stopping.main([])
    with (
        flagsaver.flagsaver(run_dirs=[str(tmp_path)]),
        pytest.raises(_cli.UsageError, match=f"--run_dirs={tmp_path}: .*holds no run"),
    ):
        bench_early_stopping.main([])
