"""The programs themselves, with real training: stopped, killed, resumed, inspected."""

import csv
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from spjax import data, genomes, networks, search, training
from tests.experiments import small

ROOT = pathlib.Path(__file__).parents[2]
TRIALS = 5
ENDED = re.compile(r" *\d+  error ")
FIGURES = (
    "model_size_nonzero",
    "model_size_dense",
    "model_size_encoded",
    "input_output",
    "best_order",
    "planned_arena",
    "input_weights",
    "live_bytes",
    "macs",
)


def _environment(folder):
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "XDG_CACHE_HOME": str(folder),
    }


def _run(command, folder, number=None):
    """Runs a program, up to the first trial's line if it is to get a signal.

    Returns its status, its output, and what it wrote to standard error.
    """
    with (
        open(folder / "err.txt", "w+") as err,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        ) as process,
    ):
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if number is not None and ENDED.match(line):
                    # A batch system's stop is for the program, a crash takes all.
                    send = os.killpg if number == signal.SIGKILL else os.kill
                    send(process.pid, number)
                    number = None
            status = process.wait(60)
        finally:
            process.kill()
        err.seek(0)
        return status, "".join(lines), err.read()


def _python(module, *arguments):
    return [sys.executable, "-m", module, *arguments]


def _rows(run_dir):
    """One row a trial; those of further readings on the front are left out."""
    with open(run_dir / "trials.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row.get("reading", "0") == "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    small.write_npz(folder / "small.npz")
    return folder


@pytest.fixture(scope="module")
def run_dir(folder):
    """A search that was stopped once, killed once and resumed twice."""
    command = _python(
        "experiments.search",
        "--dataset=npz:small.npz",
        "--run_dir=run",
        f"--trials={TRIALS}",
        "--epochs=2",
        "--batch_size=32",
        "--initial_trials=3",
        "--candidates=16",
        "--workers=1",
    )
    status, shown, error = _run(command, folder, signal.SIGTERM)
    assert (status, error) == (130, ""), shown
    rows = _rows(folder / "run")
    assert f"interrupted: {len(rows)} trial(s) are stored; go on with" in shown
    assert json.loads((folder / "run/front.json").read_text())["header"]["unfinished"]
    # What the program says is what works.
    resume = shlex.split(shown.split("go on with\n")[1].split("\n")[0])
    assert resume[-2:] == ["--run_dir=run", "--resume"]
    assert _run(resume, folder, signal.SIGKILL)[0] == -signal.SIGKILL
    status, shown, error = _run(resume, folder)
    assert (status, error) == (0, ""), shown
    again = _rows(folder / "run")
    assert [row["genome_id"] for row in again[: len(rows)]] == [
        row["genome_id"] for row in rows
    ]
    return folder / "run"


@pytest.fixture(scope="module")
def front(run_dir):
    return json.loads((run_dir / "front.json").read_text())


@pytest.fixture(scope="module")
def dataset(folder):
    return data.load(f"npz:{folder / 'small.npz'}")


def test_all_trials_are_there_once(run_dir):
    rows = _rows(run_dir)
    assert [int(row["index"]) for row in rows] == list(range(TRIALS))
    assert len({row["genome_id"] for row in rows}) == TRIALS
    assert {row["status"] for row in rows} == {"completed"}
    for row in rows:
        genome = genomes.from_json(json.dumps(json.loads(row["genome"])))
        assert genomes.genome_id(genome) == row["genome_id"]


def test_the_front_is_what_no_trial_dominates(run_dir, front):
    names = ("validation_error", "model_size_nonzero", "planned_arena")
    assert front["objectives"] == list(names)
    points = {}
    for row in _rows(run_dir):
        readings = [row, *json.loads(row["readings"])]
        assert len(readings) == 4
        for number, figures in enumerate(readings):
            key = int(row["index"]), number
            points[key] = tuple(float(figures[name]) for name in names)

    def dominated(a):
        return any(
            all(y <= x for x, y in zip(a, b, strict=True)) and a != b
            for b in points.values()
        )

    expected = {key for key, point in points.items() if not dominated(point)}
    found = {(p["index"], p["reading"]): p for p in front["points"]}
    assert set(found) == expected
    for key, point in found.items():
        assert tuple(point[name] for name in names) == points[key]


def test_the_pick_is_the_lowest_error_that_fits(run_dir, front):
    best = json.loads((run_dir / "best.json").read_text())
    fitting = [
        point
        for point in front["points"]
        if point["planned_arena"] <= 2048 and point["model_size_nonzero"] <= 32768
    ]
    lowest = min(point["validation_error"] for point in fitting)
    assert best["point"]["validation_error"] == lowest
    assert best["point"]["index"] == front["pick"]
    assert best["point"]["reading"] == front["pick_reading"]
    assert best["point"] in front["points"] and best["feasible"] is True


def test_the_front_says_where_it_comes_from(front, dataset):
    header = front["header"]
    assert header["seed"] == 0 and header["flags"]["epochs"] == 2
    assert header["memory_model"] == "planned_arena"
    assert set(FIGURES) <= set(front["models"])
    assert header["dataset"]["fingerprint"] == dataset.fingerprint
    assert header["dataset"]["split_sizes"]["test"] == 45
    assert header["normalisation"]["mean"] == list(dataset.normalisation.mean)
    assert header["versions"]["jax"] == jax.__version__


def _network(run_dir, point):
    files = point["files"]
    genome = genomes.from_json((run_dir / files["genome"]).read_text())
    weights = networks.load_tree(run_dir / files["weights"])
    return genome, weights, networks.load_tree(run_dir / files["masks"])


def test_files_of_the_front_give_its_figures_again(run_dir, front, dataset):
    test = dataset.test()
    for point in front["points"]:
        genome, weights, masks = _network(run_dir, point)
        found = search.measure(genome, weights, (8, 8, 1), 3)
        assert {name: point[name] for name in FIGURES} == found
        fn = networks.inference_function(genome, 3)
        for split, name in ((dataset.validation, "validation_error"), (test, "")):
            pixels = networks.downsample(split.images, genome.downsample)
            logits = fn(weights, dataset.normalisation(pixels))
            wrong = int(np.sum(np.argmax(logits, -1) != split.labels))
            # Cutting dead channels out moves a logit by a rounding error, no more.
            claimed = point[name or "test_error"] * len(split)
            assert abs(wrong - claimed) <= 1.001, point["index"]
        flat = networks.flatten(weights["params"])
        for name, mask in networks.flatten(masks).items():
            assert mask.dtype == bool and mask.shape == flat[name].shape
            assert not flat[name][~mask].any(), name
            if name.endswith("kernel"):
                assert flat[name][mask].all(), name


def test_trained_weights_give_the_very_error_that_was_searched_on(
    run_dir, front, dataset
):
    index = front["pick"]
    trial = search.trial_folder(run_dir, index)
    genome = genomes.from_json((trial / "genome.json").read_text())
    weights = networks.load_tree(trial / "weights.npz")
    error = training.error_rate(
        genome, weights, dataset.validation, 3, dataset.normalisation
    )
    row = _rows(run_dir)[index]
    assert error == float(row["validation_error"])
    assert json.loads(genomes.to_json(genome)) == json.loads(row["genome"])
    for point in front["points"]:
        if (point["index"], point["reading"]) == (index, 0):
            assert point["validation_error"] == error
        if point["index"] == index:  # a reading is of the same genome
            assert point["genome"] == json.loads(row["genome"])


def test_training_longer_over_seeds(run_dir, front, folder):
    trial = search.trial_folder(run_dir, front["pick"])
    command = _python(
        "experiments.train",
        f"--genome={run_dir}/best.json",
        f"--init={trial}/weights.npz",
        f"--dataset=npz:{folder}/small.npz",
        "--sparsity=0.5",
        "--epochs=3",
        "--batch_size=32",
        "--seeds=2",
        "--seed=4",
        "--run_dir=trained",
    )
    status, shown, error = _run(command, folder)
    assert (status, error) == (0, ""), shown
    trained = folder / "trained"
    rows = _rows(trained)
    assert [row["edit"] for row in rows] == ["seed 4", "seed 5"]
    genome = json.loads(rows[0]["genome"])
    assert genome["training"]["sparsity"] == 0.5
    assert genome["blocks"] == front["points"][0]["genome"]["blocks"]
    summary = json.loads((trained / "front.json").read_text())["header"]["summary"]
    for name in ("validation_error", "test_error", "model_size_nonzero"):
        values = [float(row[name]) for row in rows]
        assert summary[name]["mean"] == pytest.approx(np.mean(values))
        spread = summary[name]["standard_deviation"]
        assert spread == pytest.approx(np.std(values, ddof=1))
    mean = summary["test_error"]["mean"]
    assert f"test_error: mean {mean:.2%}, standard deviation" in shown
    for name in ("best.json", "front.png", "trials.csv", "report.html"):
        assert (trained / name).is_file()


def test_a_genome_for_larger_images_is_one_clear_line(folder):
    large = genomes.Genome(
        blocks=(
            genomes.Block(
                convs=(genomes.Conv(kernel=7, padding="VALID"),) * 2,
            ),
        )
    )
    (folder / "large.json").write_text(genomes.to_json(large))
    command = _python(
        "experiments.train",
        "--genome=large.json",
        "--dataset=npz:small.npz",
        "--run_dir=never",
    )
    status, shown, error = _run(command, folder)
    assert status == 2 and error.count("\n") == 1
    assert error.startswith("error: --genome=large.json does not fit the 8x8x1 images")
    assert not (folder / "never").exists()


def test_help_is_no_error():
    for module in ("experiments.search", "experiments.train"):
        command = [*_python(module), "--help"]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "--run_dir" in done.stdout and "(default: '0')" in done.stdout
