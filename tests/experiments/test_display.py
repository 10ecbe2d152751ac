"""What a person sees of a search: in a terminal, and in a file."""

import io
import pathlib
import shlex
import sys

import pytest
from absl import flags
from absl.testing import flagsaver
from rich.console import Console

from experiments import _display
from spjax import deploy, search
from tests.experiments import small

HEADER = {
    "board": {"name": "uno", "ram_bytes": 2048, "flash_bytes": 32768},
    "memory_model": "input_output",
    "dataset": {"name": "digits"},
}
LIMITS = {"input_output": 2048, "model_size_nonzero": 32768}
ROW = {
    "index": 3,
    "status": "completed",
    "validation_error": 0.0361,
    "test_error": 0.0412,
    "model_size_nonzero": 1034,
    "model_size_dense": 2345,
    "input_output": 812,
    "macs": 99,
    "sparsity": 0.5,
    "seconds": 12.3,
    "edit": "widen block 1 by a half",
    "feasible": True,
    "on_front": True,
}


@pytest.fixture(autouse=True)
def _parsed():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["search"])


def _console(terminal, width=80):
    return Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=None
    )


def _shown(console, *events):
    with _display.Display(console, trials=5, finished=2) as display:
        for event in events:
            display.show(event, HEADER, LIMITS)
        inside = console.file.getvalue()
    return inside


def _event(kind, index=3, **content):
    return search.TrialEvent(kind, index, **content)


PROGRESS = {"epoch": 2, "epochs": 9, "validation_error": 0.5}


def test_a_file_gets_one_line_per_trial_and_no_bar():
    console = _console(False, width=140)
    shown = _shown(
        console,
        _event("started"),
        _event("progress", content=PROGRESS),
        _event("tick", None),
        _event("completed", row={**ROW, "edit": "widen " * 40}),
    )
    [line] = shown.splitlines()
    for text in ("3.61 %", "1,034 B nonzero", "input_output", "812 B", "fits"):
        assert text in line
    assert line.rstrip().endswith("widen")
    assert console.file.getvalue() == shown


def test_a_line_fits_a_narrow_terminal():
    console = _console(True)
    _shown(console, _event("started"), _event("completed", row=ROW))
    line = next(x for x in console.file.getvalue().splitlines() if "3.61 %" in x)
    line = line[line.rindex("\x1b[2K") + 4 :]  # After what erases the bar.
    assert "812 B  fits" in line and line.endswith("…") and len(line) <= 80


def test_a_trial_beyond_a_limit_and_one_that_failed():
    console = _console(False, width=140)
    large = {**ROW, "input_output": 3000}
    failed = {"index": 4, "status": "failed", "reason": "[odd] ValueError: " + "x" * 99}
    stopped = {"status": "stopped", "reason": "after 2 of 9 epochs: hopeless"}
    shown = _shown(
        console,
        _event("started"),
        _event("completed", row=large),
        _event("started", 4),
        _event("lost", 4, content="its worker process was killed [by] SIGKILL"),
        _event("started", 4),
        _event("failed", 4, row=failed, content="ValueError"),
        _event("started", 5),
        _event("stopped", 5, row={**stopped, "index": 5}),
    ).splitlines()
    assert "over: input_output > 2,048 B" in shown[0]
    assert "killed [by] SIGKILL; the trial is tried again" in shown[1]
    assert "failed: [odd] ValueError: " + "x" * 99 in shown[2]
    assert "5  stopped after 2 of 9 epochs" in shown[3]
    assert len(shown) == 4


def test_the_bar_shows_what_runs_and_how_far_the_whole_is():
    console = _console(True, width=100)
    with _display.Display(console, trials=5, finished=2) as display:
        for event in (_event("started"), _event("progress", content=PROGRESS)):
            display.show(event, HEADER, LIMITS)
        display._progress.refresh()
        shown = console.file.getvalue()
        assert "2/5" in shown and "trial 3" in shown
        assert "2/9 epochs, error 50.0%" in shown
        display.show(_event("completed", row=ROW), HEADER, LIMITS)
        display._progress.refresh()
        rest = console.file.getvalue()[len(shown) :]
        assert "3/5" in rest
    assert "trial 3" not in rest[rest.rindex("3/5") :]


def test_the_command_that_resumes_survives_a_shell(monkeypatch, tmp_path):
    console = _console(False, width=40)
    folder = tmp_path / "my [new] run"
    _display.say_how_to_resume(console, folder, 7, "interrupted")
    first, command = console.file.getvalue().splitlines()
    assert first == "interrupted: 7 trial(s) are stored; go on with"
    python, *rest = shlex.split(command)
    assert rest == ["-m", "experiments.search", f"--run_dir={folder}", "--resume"]
    assert (pathlib.Path.cwd() / python) == pathlib.Path(sys.executable)


def test_the_results_name_pick_files_and_the_next_command():
    console = _console(False, width=140)
    with flagsaver.as_parsed(dataset="folder:my cats", image_size="16", grey="true"):
        _display.say_results(console, pathlib.Path("runs/a"), [ROW], ROW, HEADER)
    shown = console.file.getvalue()
    assert "pick   trial 3: validation error 3.61%, test error 4.12%" in shown
    assert "model_size_nonzero 1,034 bytes (indices not counted)" in shown
    assert "input_output 812 bytes" in shown
    for name in ("front.png", "report.html", "front.json", "best.json", "trials.csv"):
        assert f"wrote  runs/a/{name}\n" in shown
    line = next(x for x in shown.splitlines() if x.startswith("next"))
    assert shlex.split(line)[2:] == [
        "-m",
        "experiments.train",
        "--genome=runs/a/trials/0003/genome.json",
        "--dataset=folder:my cats",
        "--image_size=16",
        "--grey",
        "--board=uno",
    ]


def test_what_is_searched(tmp_path):
    from spjax import data

    dataset = data.load(small.write_npz(tmp_path / "a[b].npz"))
    console = _console(False, width=140)
    board = deploy.get_board("microbit")
    _display.say_what(console, dataset, board, "live_bytes", "nonzero", "7 trials")
    first, second, third = console.file.getvalue().splitlines()
    assert f"npz:{tmp_path}/a[b].npz: 8x8x1, 3 classes, 120 training" in first
    assert "microbit: live_bytes <= 16,384 bytes" in second
    assert "indices, code and stack not counted" in second
    assert third == "search 7 trials"
