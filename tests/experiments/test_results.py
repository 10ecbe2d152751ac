"""What a run leaves for people: header, files, means, folders."""

import json
import math
import platform
import statistics

import numpy as np
import pytest

from experiments import _network_facts, _results
from spjax import data, deploy, genomes, networks, report, search
from tests.experiments import small

GENOME = genomes.Genome(
    blocks=(genomes.Block(convs=(genomes.Conv(kernel=3, channels=3),)),)
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.npz"
    return data.load(small.write_npz(path))


@pytest.fixture
def run_dir(tmp_path, dataset):
    """A run with one trial."""
    data.save_arrays(dataset, search.data_folder(tmp_path))
    spec = search.TrialSpec(str(tmp_path), 0, genomes.to_json(GENOME), config=None)
    small.quick_trial(spec, lambda _: None)
    return tmp_path


def _header(dataset):
    return _results.header(
        dataset,
        deploy.get_board("uno"),
        memory_model="input_output",
        size_model="nonzero",
        seed=5,
        flags={"epochs": 3},
        started="2024-01-02T03:04:05+00:00",
    )


def test_the_header_says_what_a_result_depends_on(dataset):
    header = _header(dataset)
    assert header["seed"] == 5 and header["flags"] == {"epochs": 3}
    assert header["versions"]["python"] == platform.python_version()
    assert header["versions"]["numpy"] == np.__version__
    assert header["versions"].keys() >= {"spjax", "jax", "flax", "optax", "botorch"}
    # 150 of the archive's training images less a fifth for validation.
    assert header["dataset"]["split_sizes"] == {
        "train": 120,
        "validation": 30,
        "test": 45,
    }
    assert header["dataset"]["split_seed"] == 0
    pixels = dataset.train.images.astype(float)
    assert header["normalisation"]["mean"] == pytest.approx([pixels.mean()])
    assert header["normalisation"]["std"] == pytest.approx([pixels.std()])
    assert header["board"]["ram_bytes"] == 2048
    assert json.dumps(header)


def _row(dataset, run_dir):
    genome, variables = _network_facts.deployed_network(run_dir, 0)
    figures = search.measure(genome, variables, dataset.input_shape, 3)
    return {
        "index": 0,
        "status": "completed",
        "genome": json.loads(genomes.to_json(GENOME)),
        "validation_error": 0.25,
        "sparsity": 0.5,
        "feasible": True,
        "on_front": True,
        **figures,
    }


def test_untested_results_leave_the_test_split_alone(run_dir, dataset):
    log = []
    counted = small.Counted(dataset, log).dataset
    rows, header = [_row(dataset, run_dir)], _header(dataset)
    pick = _results.write_results(run_dir, rows, header, counted, tested=False)
    assert log == [] and pick is rows[0] and "test_error" not in pick
    assert not (run_dir / "trials" / "0000" / "test.json").exists()


def test_the_test_error_is_measured_once_and_kept(run_dir, dataset):
    log = []
    counted = small.Counted(dataset, log).dataset
    rows, header = [_row(dataset, run_dir)], _header(dataset)
    (run_dir / "front" / "0017").mkdir(parents=True)  # From a longer front before.
    for _ in range(2):
        _results.write_results(run_dir, rows, header, counted)
    assert log == ["test"]
    assert not (run_dir / "front" / "0017").exists()
    # By hand: what the network answers, image by image.
    genome, variables = _network_facts.deployed_network(run_dir, 0)
    fn = networks.inference_function(genome, 3)
    test = dataset.test()
    answers = np.argmax(fn(variables, dataset.normalisation(test.images)), axis=-1)
    assert rows[0]["test_error"] == np.mean(answers != test.labels)
    [point] = json.loads((run_dir / "front.json").read_text())["points"]
    assert point["test_error"] == rows[0]["test_error"]
    # Paths hold wherever the folder is moved to.
    assert set(point["files"]) >= {"genome", "weights", "masks"}
    for name in point["files"].values():
        assert name.startswith("front/0000/") and (run_dir / name).is_file()


@pytest.mark.parametrize("name", ["weights.npz", "genome.json", "masks.npz"])
def test_a_trial_that_lost_a_file_is_named(run_dir, dataset, name):
    row = _row(dataset, run_dir)
    file = search.deployed_folder(run_dir, 0) / name
    file.unlink()
    with pytest.raises(report.ReportError, match=f"cannot read {file}: No such file"):
        _results.write_results(run_dir, [row], _header(dataset), dataset, tested=False)


def test_mean_and_spread():
    rows = [
        {
            "validation_error": error,
            "test_error": error + 0.1,
            "model_size_nonzero": 100,
            "live_bytes": size,
        }
        for error, size in ((0.1, 10), (0.2, 10), (0.4, 40))
    ]
    found = _results.summary(rows, "live_bytes", "nonzero")
    for name, figure in found.items():
        values = [row[name] for row in rows]
        assert figure["mean"] == pytest.approx(statistics.mean(values))
        assert figure["standard_deviation"] == pytest.approx(statistics.stdev(values))
        assert figure["count"] == 3
    assert len(found) == 4
    one = _results.summary(rows[:1], "live_bytes", "nonzero")["test_error"]
    assert one == {"mean": 0.2, "standard_deviation": 0.0, "count": 1}
    assert (
        math.isfinite(one["mean"])
        and _results.summary([], "live_bytes", "nonzero") == {}
    )


def test_a_fresh_folder_is_always_new(tmp_path):
    names = [_results.free_folder(str(tmp_path / "a" / "run")).name for _ in range(3)]
    assert names == ["run", "run-2", "run-3"]
