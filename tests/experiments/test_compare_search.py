"""Algorithms compared by runs of the whole program, in earnest but small."""

import csv
import os
import pathlib
import subprocess
import sys

from spjax import report
from tests.experiments import small

_HOME = pathlib.Path(__file__).parents[2]


def _compare(root, *extra):
    command = [sys.executable, "-m", "experiments.compare_search", f"--root={root}"]
    command += ["--seeds=1", "--algorithms=random,morphs", "--", *extra]
    return subprocess.run(
        command,
        cwd=_HOME,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_algorithm_is_run_once_and_compared(tmp_path):
    given = [f"--dataset={small.write_npz(tmp_path / 'data.npz')}", "--epochs=1"]
    given += ["--trials=3", "--workers=1", "--nolive_report", "--ram_bytes=512"]
    done = _compare(tmp_path / "runs", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tmp_path / "runs" / "compare.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["algorithm"] for row in rows} == {"random", "morphs"}
    databases = list((tmp_path / "runs").glob("*/run/study.db"))
    assert len(databases) == 2
    for database in databases:
        kept = report.read_trials_csv(database.with_name("trials.csv"))
        name = "random" if "random" in str(database) else "morphs"
        last = max(row["hypervolume"] for row in kept)
        told = [row for row in rows if row["algorithm"] == name]
        assert [int(row["trial"]) for row in told] == [0, 1, 2]
        assert float(told[-1]["hypervolume"]) == last
    assert "after 3 trials" in (tmp_path / "runs" / "compare.md").read_text()
    assert (tmp_path / "runs" / "compare.png").stat().st_size > 10_000

    before = {path: path.stat().st_mtime_ns for path in databases}
    again = _compare(tmp_path / "runs", *given)
    assert again.returncode == 0, again.stdout + again.stderr
    assert {path: path.stat().st_mtime_ns for path in databases} == before
    assert [line for line in again.stdout.splitlines() if line.startswith("| ")] == [
        line for line in done.stdout.splitlines() if line.startswith("| ")
    ]


def test_a_comparison_without_a_finished_run_says_where_to_look(tmp_path):
    done = _compare(tmp_path, "--dataset=npz:nowhere.npz", "--trials=3")
    assert done.returncode != 0
    assert "no run has finished; the logs there say why" in done.stdout + done.stderr
