"""The steps beside published networks, in earnest but small."""

import os
import pathlib
import subprocess
import sys

import pytest

from experiments import _published, cifar10_binary, mnist, mnist_tiny
from spjax import report
from spjax.report import beside

_PROGRAM = """
import sys
from experiments import _cli, _published
from spjax.report import beside

rows = (
    beside.Published("roomy", 0.5, 30000, 2000),
    beside.Published("tiny", 0.99, 3, 2000),
)
benchmark = _published.Benchmark(
    "small", "digits", "input_output", rows, ("--epochs=1", "--nolive_report")
)
if __name__ == "__main__":
    _cli.run(lambda argv: _published.run(benchmark))
"""


def _point(error, size, memory):
    return {
        "validation_error": error,
        "model_size_nonzero": size,
        "input_output": memory,
    }


@pytest.mark.parametrize(
    ("size", "memory", "expected"),
    [(100, 100, 0.1), (99, 100, 0.2), (100, 49, 0.3), (5, 5, None)],
)
def test_the_best_of_those_that_are_as_small(size, memory, expected):
    points = [_point(0.1, 100, 100), _point(0.2, 50, 50), _point(0.3, 50, 10)]
    row = beside.Published("others", 0.9, size, memory)
    found = _published.choose(points, row, "input_output")
    assert (found and found["validation_error"]) == expected


_PROGRAMS = (mnist, mnist_tiny, cifar10_binary)


def test_no_program_writes_into_the_folder_of_another():
    assert len({program.BENCHMARK.name for program in _PROGRAMS}) == len(_PROGRAMS)


@pytest.mark.parametrize("program", _PROGRAMS)
def test_their_flags_are_those_of_the_programs_they_run(program):
    for name in ("search", "train"):
        given = getattr(program.BENCHMARK, f"{name}_flags")
        command = [sys.executable, "-m", f"experiments.{name}", "--only_check_args"]
        done = subprocess.run(
            [*command, *given], env=_environment(), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_search_and_final_training_then_only_what_is_missing(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    root = tmp_path / "root"
    command = [sys.executable, str(program), f"--folder={root}", "--search_trials=2"]
    command += ["--search_workers=1", "--final_epochs=1", "--final_seeds=2"]

    def run():
        done = subprocess.run(
            command, capture_output=True, text=True, env=_environment(), check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = run()
    assert first.count("$ python") == 2
    (init,) = [word for word in first.split() if word.startswith("--init=")]
    assert pathlib.Path(init.removeprefix("--init=")).is_file()
    table = (root / "published.md").read_text()
    assert "2 seed(s)" in table
    assert "none of ours is as small" in table
    assert (root / "published.png").is_file()
    (final,) = root.glob("final-*")
    rows = report.read_trials_csv(final / "trials.csv")
    accuracy = 100 - 50 * sum(row["test_error"] for row in rows)
    assert f"{accuracy:.2f}" in table
    again = run()
    assert "$ python" not in again
    assert table in again
    # An interrupted training is begun anew.
    (final / "best.json").unlink()
    third = run()
    assert third.count("$ python") == 1 and "experiments.train" in third
    assert table in third


def test_an_interrupted_search_is_not_finished(tmp_path):
    assert not _published.is_finished(tmp_path)
    for header, expected in (({"unfinished": True}, False), ({}, True)):
        report.write_json(tmp_path / "best.json", {"header": header})
        assert _published.is_finished(tmp_path) is expected


def _environment():
    root = pathlib.Path(_published.__file__).parents[1]
    return os.environ | {"PYTHONPATH": str(root)}
