"""Algorithms compared by runs of the whole program, in earnest but small."""

import csv
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from spjax import report
from spjax.report import courses_csv
from tests.experiments import small

_HOME = pathlib.Path(__file__).parents[2]


def _compare(root, *extra, own=()):
    command = [sys.executable, "-m", "experiments.compare_search", f"--root={root}"]
    command += ["--seeds=1", "--algorithms=random,morphs", *own, "--", *extra]
    return subprocess.run(
        command,
        cwd=_HOME,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def _courses(root):
    """Final hypervolume by algorithm, and the trials that each run has."""
    with open(root / "compare.csv", newline="") as file:
        assert "data.npz (120 images)" in file.readline()
        rows = list(csv.DictReader(file))
    last = {row["algorithm"]: float(row["hypervolume"]) for row in rows}
    trials = {name: [] for name in last}
    for row in rows:
        trials[row["algorithm"]].append(int(row["trial"]))
    return last, trials


def test_every_algorithm_is_run_once_and_compared(tmp_path):
    given = [f"--dataset={small.write_npz(tmp_path / 'data.npz')}", "--epochs=1"]
    given += ["--trials=3", "--workers=1", "--nolive_report", "--ram_bytes=512"]
    done = _compare(tmp_path / "runs", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    told, trials = _courses(tmp_path / "runs")
    assert trials == {"random": [0, 1, 2], "morphs": [0, 1, 2]}
    databases = list((tmp_path / "runs").glob("*/run/study.db"))
    assert len(databases) == 2
    for database in databases:
        kept = report.read_trials_csv(database.with_name("trials.csv"))
        name = "random" if "random" in str(database) else "morphs"
        last = max(row["hypervolume"] for row in kept)
        assert told[name] == pytest.approx(last, abs=1e-6)
    assert "after 3 trials" in (tmp_path / "runs" / "compare.md").read_text()
    assert (tmp_path / "runs" / "compare.png").stat().st_size > 10_000

    before = {path: path.stat().st_mtime_ns for path in databases}
    again = _compare(tmp_path / "runs", *given)
    assert again.returncode == 0, again.stdout + again.stderr
    assert {path: path.stat().st_mtime_ns for path in databases} == before
    assert [line for line in again.stdout.splitlines() if line.startswith("| ")] == [
        line for line in done.stdout.splitlines() if line.startswith("| ")
    ]

    # Errors above 0.4 are of no use: the same runs, read within another box.
    stricter = _compare(tmp_path / "runs", *given, own=["--error_reference=0.4"])
    assert stricter.returncode == 0, stricter.stdout + stricter.stderr
    assert {path: path.stat().st_mtime_ns for path in databases} == before
    told, _ = _courses(tmp_path / "runs")
    flash = small.UNO.flash_bytes
    for database in databases:
        kept = report.read_trials_csv(database.with_name("trials.csv"))
        name = "random" if "random" in str(database) else "morphs"
        points = [
            (r["validation_error"] / 0.4, r["model_size_nonzero"] / flash,
             r["planned_arena"] / 512)
            for r in kept
            if r["status"] == "completed"
        ]  # fmt: skip
        assert told[name] == pytest.approx(_by_cells(points), abs=1e-6)

    # Another comparison shows the finished runs of this one, and runs its own alone.
    other = tmp_path / "other"
    own = ["--algorithms=random", f"--beside={tmp_path / 'runs'}"]
    beside = _compare(other, *given, "--candidates=99", own=own)
    assert beside.returncode == 0, beside.stdout + beside.stderr
    assert set(_courses(other)[0]) == {"random", "morphs"}
    assert len(list(other.glob("*/run/study.db"))) == 1
    wrong = _compare(other, *given, own=["--beside=nowhere"])
    assert wrong.returncode == 2 and "--beside=nowhere: no finished" in wrong.stderr

    # So do the courses that it kept, unless they are of another box.
    kept = tmp_path / "kept.csv"
    kept.write_bytes((other / "compare.csv").read_bytes())
    own = ["--algorithms=random", "--first_seed=1", f"--beside={kept}"]
    more = _compare(other, *given, "--candidates=99", own=own)
    assert more.returncode == 0, more.stdout + more.stderr
    assert len(list(other.glob("*/run/study.db"))) == 2
    before, title = courses_csv.read_courses(kept)
    after, still = courses_csv.read_courses(other / "compare.csv")
    assert still == title
    assert sorted(after["random"]) == [0, 1] and sorted(after["morphs"]) == [0]
    for name in ("random", "morphs"):
        np.testing.assert_array_equal(after[name][0].volumes, before[name][0].volumes)
    assert "| random | 2 |" in (other / "compare.md").read_text()
    another = _compare(
        other, *given, "--candidates=99", own=[*own, "--error_reference=0.4"]
    )
    assert another.returncode == 2 and "another comparison" in another.stderr


def _by_cells(points):
    """The share of the unit cube above some point: its cells, one by one."""
    points = np.minimum(np.array(points, float), 1.0)
    edges = [np.unique(np.append(column, 1.0)) for column in points.T]
    low = np.stack(np.meshgrid(*(e[:-1] for e in edges), indexing="ij"), -1)
    sides = np.meshgrid(*(np.diff(e) for e in edges), indexing="ij")
    above = (low[..., None, :] >= points).all(-1).any(-1)
    return float((np.prod(sides, axis=0) * above).sum())


def test_a_comparison_without_a_finished_run_says_where_to_look(tmp_path):
    done = _compare(tmp_path, "--dataset=npz:nowhere.npz", "--trials=3")
    assert done.returncode != 0
    assert "no run has finished; the logs there say why" in done.stdout + done.stderr
