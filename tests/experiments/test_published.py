"""The steps beside published networks, in earnest but small."""

import os
import pathlib
import re
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
FOCUS = ("--error_bound=0.9",) if "focus" in sys.argv[1] else ()
benchmark = _published.Benchmark(
    "small", "digits", "input_output", rows, ("--epochs=1", "--nolive_report"), FOCUS
)
if __name__ == "__main__":
    _cli.run(lambda argv: _published.run(benchmark))
"""


def _trial(error, size, memory, status="completed"):
    return {
        "status": status,
        "validation_error": error,
        "model_size_nonzero": size,
        "input_output": memory,
    }


@pytest.mark.parametrize(
    ("size", "memory", "expected"),
    [(100, 100, [0.1, 0.2]), (99, 100, [0.2, 0.3]), (100, 49, [0.3]), (5, 5, [])],
)
def test_the_best_of_those_that_are_as_small(size, memory, expected):
    trials = [
        _trial(0.3, 50, 10),
        _trial(0.1, 100, 100),
        _trial(None, 5, 5, "stopped"),
        _trial(0.2, 50, 50),
    ]
    row = beside.Published("others", 0.9, size, memory)
    found = _published.choose(trials, row, "input_output", 2)
    assert [trial["validation_error"] for trial in found] == expected


_PROGRAMS = (mnist, mnist_tiny, cifar10_binary)


def test_no_program_writes_into_the_folder_of_another():
    assert len({program.BENCHMARK.name for program in _PROGRAMS}) == len(_PROGRAMS)


@pytest.mark.parametrize("program", _PROGRAMS)
def test_their_flags_are_those_of_the_programs_they_run(program):
    for name in ("search", "train"):
        given = getattr(program.BENCHMARK, f"{name}_flags")
        given += program.BENCHMARK.focus_flags if name == "search" else ()
        command = [sys.executable, "-m", f"experiments.{name}", "--only_check_args"]
        done = subprocess.run(
            [*command, *given], env=_environment(), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("searches", [["search"], ["search", "focus"]])
def test_search_and_final_training_then_only_what_is_missing(tmp_path, searches):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    root = tmp_path / searches[-1]
    command = [sys.executable, str(program), f"--folder={root}", "--search_trials=2"]
    command += ["--search_workers=1", "--final_epochs=1", "--final_seeds=2"]

    def run():
        done = subprocess.run(
            command, capture_output=True, text=True, env=_environment(), check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = run()
    finals = sorted(root.glob("final-*"))
    assert first.count("$ python") == len(searches) + len(finals)
    warm = re.findall(r"\$ python .*--warm_start=", first)
    assert len(warm) == len(searches) - 1
    inits = re.findall(r"--init=(\S+)", first)
    assert len(inits) == len(finals) and all(map(os.path.isfile, inits))
    table = (root / "published.md").read_text()
    assert "2 seed(s)" in table
    assert "none of ours is as small" in table
    assert (root / "published.png").is_file()
    means = {}
    for final in finals:
        rows = report.read_trials_csv(final / "trials.csv")
        for name in ("validation_error", "test_error"):
            means[final, name] = sum(row[name] for row in rows) / 2
    final = min(finals, key=lambda folder: means[folder, "validation_error"])
    assert f"{100 - 100 * means[final, 'test_error']:.2f}" in table
    label = final.name.removeprefix("final-")
    assert f"trial {label}," in table
    again = run()
    assert "$ python" not in again
    assert table in again
    # An interrupted training is begun anew, an interrupted search goes on.
    (final / "best.json").unlink()
    (root / searches[-1] / "best.json").unlink()
    third = run()
    assert third.count("$ python") == 2 and "experiments.train" in third
    assert third.count("experiments.search --resume") == 1
    assert table in third


def test_an_interrupted_search_is_not_finished(tmp_path):
    assert not _published.is_finished(tmp_path)
    for header, expected in (({"unfinished": True}, False), ({}, True)):
        report.write_json(tmp_path / "best.json", {"header": header})
        assert _published.is_finished(tmp_path) is expected


def _environment():
    root = pathlib.Path(_published.__file__).parents[1]
    return os.environ | {"PYTHONPATH": str(root)}
