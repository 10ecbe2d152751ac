"""The program that quantises, from the command line, small."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from spjax import analysis, data, deploy, genomes, networks
from spjax.deploy import emit
from tests.experiments import small

ROOT = pathlib.Path(__file__).parents[2]
_GENOME = genomes.Genome(
    downsample=1,
    blocks=(
        genomes.Block((genomes.Conv(channels=6),), pool=genomes.Pool("max", 2)),
        genomes.Block((genomes.Conv(channels=8),), pool=genomes.Pool("none")),
    ),
    input_branch=0,
    dense=(),
    training=genomes.Training(3e-3, "none", 0.0),
)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.quantise", *arguments],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def network(tmp_path):
    folder = tmp_path / "network"
    folder.mkdir()
    (folder / "genome.json").write_text(genomes.to_json(_GENOME))
    variables = networks.init_variables(_GENOME, (8, 8, 1), 3, 0)
    networks.save_tree(folder / "weights.npz", variables)
    return folder


def test_it_fine_tunes_prunes_measures_and_stores(tmp_path, network):
    dataset = small.write_npz(tmp_path / "stripes.npz")
    out = tmp_path / "out"
    done = run(
        f"--network={network}",
        f"--dataset={dataset}",
        "--precision=int4,classifier=int8",
        "--sparsity=0.5",
        "--epochs=25",
        "--batch_size=15",
        "--learning_rate=0.01",
        "--augment_shift=0.2",
        f"--out={out}",
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((out / "quantised.json").read_text())
    quantised = deploy.load_quantised(out / "quantised.npz")
    loaded = data.load(dataset)
    test = loaded.test()
    scale = quantised.scale("input")
    images = scale.to_int8(loaded.normalisation(test.images))
    wrong = (deploy.predict(quantised, images).argmax(1) != test.labels).mean()
    assert figures["test_error"] == wrong
    # Fresh weights know nothing; fine-tuning learns stripes.
    assert wrong < 0.2 < figures["float_test_error"]
    assert f"integers: test error {wrong:.2%}" in done.stdout
    layers = figures["layers"]
    assert layers["classifier"]["precision"] == "int8"
    assert layers["block1_conv0/conv"]["precision"] == "int4"
    for name, layer in layers.items():
        weights = quantised.operations[name].weights
        assert layer["weights"] == weights.size
        assert layer["nonzero"] == np.count_nonzero(weights) <= 0.5 * weights.size + 1
    assert (out / "network.tflite").read_bytes() == deploy.to_tflite(quantised)
    assert genomes.from_json((out / "genome.json").read_text()) == _GENOME
    assert figures["flags"]["sparsity"] == 0.5


def test_without_epochs_it_goes_as_far_as_the_remedy_says(tmp_path, network):
    dataset = small.write_npz(tmp_path / "stripes.npz")
    # Of these floats ternary weights differ on 17 of 30 images.
    variables = networks.init_variables(_GENOME, (8, 8, 1), 3, 3)
    networks.save_tree(network / "weights.npz", variables)
    out = tmp_path / "out"
    done = run(
        f"--network={network}",
        f"--dataset={dataset}",
        "--precision=ternary",
        "--tolerance=0",
        "--remedy=calibration",
        f"--out={out}",
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((out / "quantised.json").read_text())
    remedy = figures["remedy"]
    names = [attempt["name"] for attempt in remedy["attempts"]]
    assert (
        names
        == [
            "mse",
            "mse, biases corrected",
            "minmax",
            "minmax, biases corrected",
        ][: len(names)]
    )
    assert len(names) > 1 and f"Taken: {remedy['taken']}" in done.stdout
    taken = next(a for a in remedy["attempts"] if a["name"] == remedy["taken"])
    assert taken["validation_error"] == pytest.approx(figures["validation_error"])
    quantised = deploy.load_quantised(out / "quantised.npz")
    plan = analysis.plan(analysis.whole(quantised.program))
    model = emit.model(quantised, plan, name="it")
    assert figures["model_size_encoded"] == model.encoded_bytes


def test_mistakes_are_one_line(tmp_path, network):
    dataset = small.write_npz(tmp_path / "stripes.npz")
    given = [f"--network={network}", f"--dataset={dataset}", f"--out={tmp_path}/out"]
    for change, message in (
        ("--precision=int8,int4", "names 2 precisions for all layers"),
        ("--precision=head=int4", "names 'head', which is not a layer"),
        (f"--network={tmp_path}", "has no genome.json"),
    ):
        done = run(*given, change)
        assert done.returncode == 2
        assert message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
