import dataclasses
import json

import numpy as np
import pytest

from spjax import data, genomes, networks, search, training
from spjax.search import early_stop

_GENOME = genomes.Genome(
    blocks=(
        genomes.Block(
            convs=(genomes.Conv(channels=6, kernel=3, stride=2),),
            pool=genomes.Pool("max", 2),
        ),
    ),
    training=genomes.Training(learning_rate=1e-2, pruning="weight", sparsity=0.5),
)
_CONFIG = training.TrainConfig(epochs=2, batch_size=32, seed=3)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data.save_arrays(data.load("digits"), search.data_folder(folder))
    return folder


def _spec(run_dir, index, genome=_GENOME, **changes):
    text = genomes.to_json(genome)
    return search.TrialSpec(str(run_dir), index, text, _CONFIG, **changes)


@pytest.fixture(scope="module")
def trained(run_dir):
    reports = []
    figures = search.run_trial(_spec(run_dir, 7), reports.append)
    return figures, reports, search.trial_folder(run_dir, 7)


def test_figures_are_those_of_the_stored_network(run_dir, trained):
    figures, reports, folder = trained
    assert folder == run_dir / "trials" / "0007"
    assert [entry["epoch"] for entry in reports] == [1, 2]
    assert reports[-1]["validation_error"] == figures["validation_error"]
    variables = networks.load_tree(folder / "weights.npz")
    dataset = data.open_arrays(search.data_folder(run_dir))
    # The stored weights, applied by hand to the validation images.
    images = dataset.validation.images.astype(np.float32)
    mean, std = dataset.normalisation.mean, dataset.normalisation.std
    logits = networks.inference_function(_GENOME, 10)(
        variables, (images - np.array(mean)) / np.array(std)
    )
    wrong = np.mean(np.argmax(logits, -1) != dataset.validation.labels)
    assert figures["validation_error"] == pytest.approx(float(wrong), abs=0.005)
    assert figures["validation_error"] < 0.6
    assert not figures["diverged"] and figures["seconds"] > 0


def test_the_size_is_what_the_search_had_promised(trained):
    figures, _, folder = trained
    promised = search.static_cost(_GENOME, (8, 8, 1), 10)
    # 8x8 -> 4x4x6 -> 2x2x6 -> 10: a convolution of 54 weights, a classifier of 240.
    assert promised["model_size_dense"] == 54 + 6 + 240 + 10
    estimate = promised.pop("model_size_encoded")  # Where zeros lie matters to it.
    assert 0.7 < estimate / figures["model_size_encoded"] < 1.4
    assert {name: figures[name] for name in promised} == promised
    assert figures["sparsity"] == pytest.approx(0.5, abs=0.01)
    weights = networks.flatten(networks.load_tree(folder / "weights.npz")["params"])
    masks = networks.flatten(networks.load_tree(folder / "masks.npz"))
    for name, mask in masks.items():
        np.testing.assert_array_equal(weights[name] * ~mask, 0.0)
    kept = sum(int(m.sum()) for name, m in masks.items() if name.endswith("kernel"))
    assert kept == round(0.5 * 294)


def test_the_folder_reads_back(trained):
    figures, _, folder = trained
    assert genomes.from_json((folder / "genome.json").read_text()) == _GENOME
    assert json.loads((folder / "result.json").read_text()) == figures
    history = json.loads((folder / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == [1, 2]


def test_a_child_starts_from_its_parent_s_weights(run_dir, trained):
    parent, _, folder = trained
    child = dataclasses.replace(_GENOME, dense=())
    # The same architecture: two more epochs on top of the parent's.
    heir = search.run_trial(_spec(run_dir, 8, child, init=str(folder / "weights.npz")))
    assert heir["validation_error"] < parent["validation_error"]
    # A parent that left no weights is as none.
    fresh = search.run_trial(_spec(run_dir, 9, child, init=str(run_dir / "none.npz")))
    assert fresh["validation_error"] == parent["validation_error"]


def test_a_training_that_diverges_says_so(run_dir, trained):
    _, _, folder = trained
    variables = networks.load_tree(folder / "weights.npz")
    variables["params"]["classifier"]["kernel"][0, 0] = np.nan
    networks.save_tree(run_dir / "poisoned.npz", variables)
    figures = search.run_trial(_spec(run_dir, 10, init=str(run_dir / "poisoned.npz")))
    assert figures["diverged"]
    assert figures["validation_error"] == pytest.approx(0.9)


def test_further_readings_are_networks_of_their_own(run_dir, trained):
    figures, _, folder = trained
    dataset = data.open_arrays(search.data_folder(run_dir))
    asked = [reading["asked_sparsity"] for reading in figures["readings"]]
    assert asked == list(search.further_sparsities(0.5)) == sorted(asked)
    sizes = [figures["model_size_nonzero"]]
    for number, reading in enumerate(figures["readings"], start=1):
        place = search.deployed_folder(run_dir, 7, number)
        assert place == folder / "readings" / str(number)
        genome = genomes.from_json((place / "genome.json").read_text())
        variables = networks.load_tree(place / "weights.npz")
        error = training.error_rate(
            genome, variables, dataset.validation, 10, dataset.normalisation
        )
        assert reading["validation_error"] == pytest.approx(error, abs=0.004)
        measured = search.measure(genome, variables, (8, 8, 1), 10)
        assert {name: reading[name] for name in measured} == measured
        masks = networks.flatten(networks.load_tree(place / "masks.npz"))
        weights = networks.flatten(variables["params"])
        assert all((weights[name][~mask] == 0).all() for name, mask in masks.items())
        sizes.append(reading["model_size_nonzero"])
        share = reading["sparsity"]
        assert share >= reading["asked_sparsity"] - 0.01 or genome != _GENOME
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4


@pytest.mark.parametrize("kind", genomes.NOISY_KINDS)
def test_noisy_kinds_tell_the_threshold(run_dir, kind):
    genes = genomes.Training(learning_rate=1e-2, pruning=kind, sparsity=0.6)
    genome = dataclasses.replace(_GENOME, training=genes)
    figures = search.run_trial(_spec(run_dir, 11, genome))
    assert figures["validation_error"] < 0.8 and not figures["diverged"]
    promised = search.static_cost(genome, (8, 8, 1), 10)
    if kind == "variational":  # kernels' weights are known, biases may go as well
        assert promised["model_size_nonzero"] >= figures["model_size_nonzero"]
        assert promised["model_size_nonzero"] <= figures["model_size_nonzero"] + 16
    else:
        assert figures["model_size_nonzero"] <= 0.4 * 294 + 16
    thresholds = [row["threshold"] for row in (figures, *figures["readings"])]
    assert thresholds == sorted(thresholds, reverse=True)  # what matters more goes last


def test_readings_can_be_left_out(run_dir):
    figures = search.run_trial(_spec(run_dir, 12, further=False))
    assert figures["readings"] == []
    assert not (search.trial_folder(run_dir, 12) / "readings").exists()


def _always(to_beat):
    """A table that predicts what it sees, with some doubt, after the first epoch."""
    rung = early_stop.Rung(1, (0.0, 1.0), (0.01, 0.0, 0.0))
    return early_stop.StopTable(to_beat, (rung,))


def test_a_hopeless_training_stops(run_dir, trained):
    figures, _, folder = trained
    spec = _spec(run_dir, 11, stops=_always(1e-3))
    reports = []
    stopped = search.run_trial(spec, reports.append)
    assert [entry["epoch"] for entry in reports] == [1]
    first = figures["validation_curve"][0]
    assert stopped["validation_curve"] == [first]
    assert stopped["predicted_error"] == pytest.approx(first)
    assert "validation_error" not in stopped and "1 of 2 epochs" in stopped["stopped"]
    # Its size is what it would have been.
    assert stopped["model_size_nonzero"] == figures["model_size_nonzero"]
    left = {path.name for path in search.trial_folder(run_dir, 11).iterdir()}
    assert left == {"genome.json", "history.json", "result.json"}


def test_a_training_with_hope_is_as_if_it_had_not_been_looked_at(run_dir, trained):
    figures, _, folder = trained
    watched = search.run_trial(_spec(run_dir, 12, stops=_always(1.0)))
    kept = {"validation_error", "validation_curve", "model_size_nonzero", "readings"}
    assert {k: watched[k] for k in kept} == {k: figures[k] for k in kept}
    history = json.loads((folder / "history.json").read_text())
    assert figures["validation_curve"] == [e["validation_error"] for e in history]
