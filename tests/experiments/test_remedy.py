"""Quantisation within a tolerance, as the programs have it."""

import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import _deployment, _picked, _remedy, check_quantised
from spjax import data, deploy, networks, search
from tests.experiments import deployed_run, small
from tests.experiments.deployed_run import run_dir  # noqa: F401


@pytest.fixture(autouse=True)
def _parsed():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["check_quantised"])


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A dataset, and a network with random weights: fine-tuning teaches it a lot."""
    folder = tmp_path_factory.mktemp("data")
    dataset = data.load(small.write_npz(folder / "stripes.npz"))
    genome = deployed_run.GENOME
    variables = networks.init_variables(genome, (8, 8, 1), 3, seed=1)
    program = search.program_of(genome, variables, (8, 8, 1), 3)
    return program, genome, dataset


def test_what_is_tried_is_said(network, capsys):
    program, genome, dataset = network
    # A gain of 99 points: everything is tried.
    best, attempts = _remedy.quantised(
        program, genome, dataset, tolerance=-99.0, remedy="finetune"
    )
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Not shown to stay within -99 points of the floats:"
    assert said.count("  fine-tuning on 120 images ...") == 2
    told = [line for line in said[1:-1] if not line.endswith("...")]
    assert [f"  {_remedy.text(attempt)}" for attempt in attempts] == told
    assert said[-1].startswith(f"Taken: {best.name}")
    held_out = dataset.validation
    images = best.quantised.scale("input").to_int8(
        dataset.normalisation(held_out.images)
    )
    wrong = deploy.predict(best.quantised, images).argmax(1) != held_out.labels
    assert best.loss.error == pytest.approx(wrong.mean())
    assert wrong.mean() < attempts[0].loss.error - 0.1
    facts = _remedy.as_json(best, attempts, -99.0)
    assert facts["taken"] == best.name and len(facts["attempts"]) == len(attempts)
    assert facts["attempts"][0]["validation_loss_points"] == pytest.approx(
        100 * (attempts[0].loss.lost - attempts[0].loss.gained) / len(wrong)
    )


def test_what_is_within_is_not_talked_about(network, capsys):
    program, genome, dataset = network
    for options in ({"tolerance": 100.0}, {"tolerance": -99.0, "remedy": "none"}):
        _, attempts = _remedy.quantised(
            program, genome, dataset, **{"remedy": "finetune"} | options
        )
        assert len(attempts) == 1
    assert capsys.readouterr().out == ""


def test_pruned_weights_stay_pruned(run_dir):  # noqa: F811
    picked = _picked.read_pick(str(run_dir), "best")
    dataset = _picked.load_dataset(picked, None)
    program = search.program_of(
        picked.genome, picked.variables, dataset.input_shape, dataset.num_classes
    )
    best, _ = _remedy.quantised(
        program, picked.genome, dataset, tolerance=-99.0, remedy="finetune"
    )
    assert best.name.startswith("fine-tuned")
    for operation in program.operations:
        kernel = operation.weight("kernel")
        if kernel is not None:
            zeros = kernel.values == 0
            assert zeros.any()
            weights = best.quantised.operations[operation.name].weights
            assert (weights[zeros] == 0).all()


def test_deploy_quantises_within_the_tolerance(run_dir, tmp_path, capsys):  # noqa: F811
    deployed_run.need("host")
    out = tmp_path / "out"
    _deployment.deploy_pick(
        _deployment.Options(
            run_dir=str(run_dir), board="host", out=str(out), tolerance=-99.0
        )
    )
    assert (
        "Not shown to stay within -99 points of the floats:" in capsys.readouterr().out
    )
    kept = json.loads((out / "measured.json").read_text())
    assert kept["quantisation"]["taken"].startswith("fine-tuned")
    # Random weights: the integers were trained, the floats were not.
    assert kept["int8_test_accuracy"] > kept["float_test_accuracy"] + 0.1


def test_a_front_is_measured_on_the_test_images(run_dir, capsys):  # noqa: F811
    given = {"run_dirs": str(run_dir), "remedy": "calibration", "tolerance": "50"}
    with flagsaver.as_parsed(**given):
        assert check_quantised.main(["check_quantised"]) == 0
    said = capsys.readouterr().out
    picked = _picked.read_pick(str(run_dir), "best")
    dataset = _picked.load_dataset(picked, None)
    test = dataset.test()
    program = search.program_of(
        picked.genome, picked.variables, dataset.input_shape, dataset.num_classes
    )
    images = dataset.normalisation(test.images)
    floats = deploy.predict_float(program, images).argmax(1) != test.labels
    row = next(
        line for line in said.splitlines() if line.startswith(f"| {run_dir.name}")
    )
    assert row.split("|")[2].strip() == f"{100 * floats.mean():.2f}"
    assert "plain: 0 of 1 networks lose more than 50 points" in said


def test_a_summary_counts_what_is_beyond_and_what_is_clearly():
    def row(lost, gained):
        loss = deploy.Loss(images=1000, float_errors=0, lost=lost, gained=gained)
        fine = deploy.Loss(images=1000, float_errors=0, lost=0, gained=0)
        return check_quantised.Row("n", fine, loss, "other", fine)

    # 0.3 is within 0.3; 0.4 +- 0.2 is beyond; 4.0 +- 0.6 clearly so.
    rows = [row(3, 0), row(4, 0), row(40, 0)]
    plain, taken = check_quantised.summary(rows, 0.3)
    assert plain.startswith("plain: 2 of 3 networks lose more than 0.3 points")
    assert "1 of them by more than two standard errors" in plain
    assert f"mean loss {np.mean([0.3, 0.4, 4.0]):+.2f}, largest +4.00" in plain
    assert taken.startswith("taken: 0 of 3")


def test_runs_that_are_not_there_are_named(tmp_path):
    with flagsaver.as_parsed(run_dirs=str(tmp_path)):
        with pytest.raises(_picked.PickError, match="holds no finished run"):
            check_quantised.main(["check_quantised"])
