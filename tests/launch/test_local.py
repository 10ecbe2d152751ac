import csv
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

_PROJECT = pathlib.Path(__file__).parents[2]

# An experiment: writes best.json, counts its attempts, fails or waits when told to.
_EXPERIMENT = """
import json, pathlib, sys, time
from absl import app, flags
RUN_DIR = flags.DEFINE_string("run_dir", None, "")
SEED = flags.DEFINE_integer("seed", 0, "")
NAME = flags.DEFINE_string("name", "x", "")
FAIL = flags.DEFINE_string("fail_while", "", "fails while this file is there")
WAIT = flags.DEFINE_string("wait_while", "", "runs while this file is there")
%s
def main(argv):
    run_dir = pathlib.Path(RUN_DIR.value)
    run_dir.mkdir(parents=True, exist_ok=True)
    with open(run_dir / "attempts", "a") as file:
        file.write(" ".join(sys.argv[1:]) + "\\n")
    print("started", NAME.value, SEED.value)
    try:
        while WAIT.value and pathlib.Path(WAIT.value).exists():
            time.sleep(0.02)
    except KeyboardInterrupt:
        print("stopped cleanly")
        sys.exit(130)
    if FAIL.value and pathlib.Path(FAIL.value).exists() and SEED.value == 1:
        print("the reason of the failure")
        sys.exit(4)
    point = {"validation_error": SEED.value / 8, "genome_id": NAME.value}
    (run_dir / "best.json").write_text(json.dumps({"point": point}))
if __name__ == "__main__":
    app.run(main)
"""
_RESUME = 'flags.DEFINE_bool("resume", False, "")'


@pytest.fixture
def work(tmp_path):
    (tmp_path / "toy.py").write_text(_EXPERIMENT % "")
    (tmp_path / "toy_resume.py").write_text(_EXPERIMENT % _RESUME)
    return tmp_path


def _command(sweep, *extra, experiment="toy", flags=()):
    words = [sys.executable, "-m", "launch.local", f"--experiment={experiment}"]
    return [*words, f"--sweep={sweep}", "--root=root", *flags, "--", *extra]


def _environment(work):
    paths = [str(_PROJECT), str(work)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"}


def _launch(work, *args, **kwargs):
    command = _command(*args, **kwargs)
    env = _environment(work)
    return subprocess.run(
        command, cwd=work, env=env, capture_output=True, text=True, timeout=120
    )


def _cells(work):
    return sorted(p for p in (work / "root").iterdir() if p.is_dir())


def _attempts(cell):
    return (cell / "run" / "attempts").read_text().splitlines()


def _until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_sweep_runs_every_cell_and_tabulates_it(work):
    done = _launch(
        work, "name=a,b;seed=0,2", "--fail_while=never", flags=["--parallel=2"]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells = _cells(work)
    assert len(cells) == 4
    assert cells[0].name.startswith("name=a,seed=0-")
    run_dir = f"root/{cells[1].name}/run"
    assert _attempts(cells[1]) == [
        f"--name=a --seed=2 --fail_while=never --run_dir={run_dir}"
    ]
    assert "started a 2" in (cells[1] / "log.txt").read_text()
    rows = list(csv.DictReader((work / "root" / "results.csv").open()))
    found = [(r["name"], r["seed"], r["validation_error"]) for r in rows]
    assert found == [
        ("a", "0", "0.0"),
        ("a", "2", "0.25"),
        ("b", "0", "0.0"),
        ("b", "2", "0.25"),
    ]
    assert {row["status"] for row in rows} == {"finished"}
    assert "| b | 2 | finished | 0.25 | b |" in (work / "root/results.md").read_text()
    assert "4/4" in done.stdout and "0.25" in done.stdout


def test_finished_cells_are_not_run_again_but_changed_flags_are_new_cells(work):
    assert _launch(work, "seed=0,2").returncode == 0
    again = _launch(work, "seed=0,2,3")
    assert again.returncode == 0
    assert "2 of 3 cells are finished and not run again" in again.stdout
    assert [len(_attempts(cell)) for cell in _cells(work)] == [1, 1, 1]
    assert _launch(work, "seed=0", "--name=other").returncode == 0
    assert [len(_attempts(cell)) for cell in _cells(work)] == [1, 1, 1, 1]


def test_dry_run_prints_the_commands_and_writes_nothing(work):
    done = _launch(work, "name='a b',c;seed=1", "--fail_while=x", flags=["--dry_run"])
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and not (work / "root").exists()
    assert "'--name=a b' --seed=1 --fail_while=x --run_dir=root/name=a-b" in lines[0]
    ran = subprocess.run(lines[1], shell=True, cwd=work, env=_environment(work))
    assert ran.returncode == 0 and (work / "root").exists()  # as good as its word
    assert _launch(work, "seed=0").returncode == 0
    marked = _launch(work, "seed=0,1", flags=["--dry_run"]).stdout.splitlines()
    assert [line.startswith("# finished: ") for line in marked] == [True, False]


@pytest.mark.parametrize("experiment", ["toy", "toy_resume"])
def test_failed_cell_is_reported_and_retried(work, experiment):
    (work / "broken").touch()
    args = ("seed=0,1", "--fail_while=broken")
    failed = _launch(work, *args, experiment=experiment)
    assert failed.returncode == 1
    assert "FAILED (exit code 4)" in failed.stdout
    assert "the reason of the failure" in failed.stdout  # the tail of its log
    assert "1 of 2 cells failed; the same command tries them again" in failed.stdout
    rows = list(csv.DictReader((work / "root" / "results.csv").open()))
    assert [row["status"] for row in rows] == ["finished", "failed (4)"]
    (work / "broken").unlink()
    mended = _launch(work, *args, experiment=experiment)
    assert mended.returncode == 0
    zero, one = _cells(work)
    assert len(_attempts(zero)) == 1
    if experiment == "toy_resume":
        first, second = _attempts(one)
        assert second == f"{first} --resume"
    else:  # it cannot resume: started anew, what was there is kept
        assert len(_attempts(one)) == 1
        assert (one / "run.old1" / "attempts").exists()
    rows = list(csv.DictReader((work / "root" / "results.csv").open()))
    assert [row["status"] for row in rows] == ["finished", "finished"]


def _start(work, *args, **kwargs):
    return subprocess.Popen(
        _command(*args, **kwargs),
        cwd=work,
        env=_environment(work),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _started(work, count):
    return len(list((work / "root").glob("*/run/attempts"))) == count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_stops_the_runs_and_the_next_launch_goes_on(work, number):
    (work / "wait").touch()
    args = ("seed=0,1,2", "--wait_while=wait")
    kwargs = {"experiment": "toy_resume", "flags": ["--parallel=2"]}
    running = _start(work, *args, **kwargs)
    _until(lambda: _started(work, 2))
    running.send_signal(number)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted; the same command goes on" in errors
    assert "Traceback" not in errors
    logs = [(cell / "log.txt").read_text() for cell in _cells(work)]
    assert len(logs) == 2 and all("stopped cleanly" in log for log in logs)
    rows = list(csv.DictReader((work / "root" / "results.csv").open()))
    assert [row["status"] for row in rows] == ["not run"] * 3
    (work / "wait").unlink()
    done = _launch(work, *args, **kwargs)
    assert done.returncode == 0
    assert [len(_attempts(cell)) for cell in _cells(work)] == [2, 2, 1]


def test_a_killed_launchers_runs_are_not_started_twice(work):
    (work / "wait").touch()
    args = ("seed=0,2", "--wait_while=wait")
    running = _start(work, *args)
    _until(lambda: _started(work, 1))
    running.kill()
    running.communicate(timeout=60)
    refused = _launch(work, *args)
    assert refused.returncode == 2
    assert "a run that it started, is still at work there" in refused.stderr
    (work / "wait").unlink()
    (cell,) = _cells(work)
    _until(lambda: (cell / "run" / "best.json").exists())
    _until(lambda: _launch(work, *args).returncode == 0)


@pytest.mark.parametrize(
    ("flags", "sweep", "extra", "expected"),
    [
        ((), "seed", (), "'seed' is not of the form flag=value,value"),
        (("--parallel=0",), "seed=1", (), "--parallel=0: must be 1 or more"),
        (("--experiment=toi",), "seed=1", (), "--experiment=toi: no such module"),
        (("--experiment=no.such",), "seed=1", (), "--experiment=no.such: no such"),
        (("--trials=3",), "seed=1", (), "flags for the experiment stand after --"),
        ((), "seed=1", ("--run_dir=x",), "--run_dir is set by the launcher"),
        (("--root=toy.py",), "seed=1", (), "--root=toy.py: cannot be written"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(work, flags, sweep, extra, expected):
    done = _launch(work, sweep, *extra, flags=flags)
    assert done.returncode == 2
    assert expected in done.stderr and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")


def test_missing_sweep(work):
    command = [sys.executable, "-m", "launch.local", "--experiment=toy"]
    done = subprocess.run(
        command, cwd=work, env=_environment(work), capture_output=True, text=True
    )
    assert done.returncode == 2 and "--sweep is missing" in done.stderr


def test_help_succeeds(work):
    done = subprocess.run(
        [sys.executable, "-m", "launch.local", "--help"],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(_PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--sweep" in done.stdout


_SHOW = """
import pathlib
from rich.console import Console
from launch import local
from launch.record import Folder
from launch.sweep import Cell
row = {"seed": 11, "status": "finished", "validation_error": 0.8815,
       "test_error": 0.8778, "model_size_nonzero": 18643, "input_output": 1624,
       "model_size_dense": 218643, "macs": 1181847, "feasible": True,
       "front_points": 12, "genome_id": "d10882210a63"}
root = pathlib.Path("root")
cell = Cell("name", "experiments.search", (("seed", "11"),))
local._show(root, [Folder(root, cell)], [row], Console(width=80))
"""


def test_figures_are_whole_on_a_narrow_terminal(work):
    # In a process of its own: two programs' flags do not go into one.
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(_PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cells = shown.splitlines()[-3].split()
    assert cells == [
        "11", "finished", "0.8815", "0.8778", "18643", "218643", "1624", "1181847",
        "yes", "12",
    ]  # fmt: skip
