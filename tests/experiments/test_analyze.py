"""The analyze program: its table, its JSON and CSV, and its errors."""

import csv
import io
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import analyze
from spjax import genomes, networks

# conv 3x3x4 VALID + BN + ReLU, max pool 2, classifier.
GENOME = genomes.Genome(
    blocks=(
        genomes.Block(
            convs=(genomes.Conv(channels=4, padding="VALID"),),
            pool=genomes.Pool("max", 2),
        ),
    )
)


@pytest.fixture(autouse=True)
def _parsed():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["analyze"])


@pytest.fixture
def genome_file(tmp_path):
    path = tmp_path / "genome.json"
    path.write_text(genomes.to_json(GENOME))
    return str(path)


def _weights(path, change=lambda tree: None):
    variables = networks.init_variables(GENOME, (12, 12, 1), 10, seed=0)
    change(variables)
    flat, _ = jax.tree_util.tree_flatten_with_path(variables)
    np.savez(path, **{"/".join(str(k.key) for k in keys): leaf for keys, leaf in flat})
    return str(path)


def _main(**values):
    with flagsaver.flagsaver(**values):
        assert analyze.main([]) == 0


def _json(capsys, **values):
    _main(json=True, **values)
    return json.loads(capsys.readouterr().out)


def test_json_by_hand(genome_file, capsys):
    result = _json(capsys, genome=genome_file, input_shape="12,12,1")
    assert result["input_output"] == 12 * 12 + 10 * 10 * 4
    assert result["live_bytes"] == 544
    assert result["model_size_dense"] == 36 + 4 + 1000 + 10
    assert result["model_size_nonzero"] == result["model_size_dense"]
    assert result["input_weights"] == 100 + 1010
    assert result["macs"] == 100 * 36 + 1000
    assert result["weights_known"] is False
    assert [layer["input_output"] for layer in result["layers"]] == [544, 500, 110]


def test_weights_from_a_file_are_counted(genome_file, tmp_path, capsys):
    def prune(variables):
        kernel = variables["params"]["classifier"]["kernel"]
        kernel[:60] = 0

    file = _weights(tmp_path / "w.npz", prune)
    result = _json(capsys, genome=genome_file, input_shape="12,12,1", weights=file)
    # Initial biases are zero, and zeros do not count.
    assert result["weights_known"] is True
    assert result["model_size_nonzero"] == 36 + 400
    assert result["input_weights"] == 100 + 400


def test_plan_by_hand(genome_file, capsys):
    """Convolution 144 + 400; the pooling in place; then dense: 100 + 10."""
    shape = {"genome": genome_file, "input_shape": "12,12,1"}
    result = _json(capsys, **shape)
    assert result["planned_arena"] == result["best_order"] == 544
    assert result["lower_bound"] == 544
    assert result["schedule"]["sharing"] == "in_place"
    assert [s["operations"] for s in result["schedule"]["steps"]] == [
        [layer["name"]] for layer in result["layers"]
    ]
    fused = _json(capsys, **shape, schedule="fused")
    assert fused["planned_arena"] == 144 + 100
    assert [s["mode"] for s in fused["schedule"]["steps"]] == ["fused", "whole"]
    # Fused and overlapping: the pooled map starts 11 bytes before the image. Its fifth
    # pixel ends at 20, and up to its last byte reads the image from 8 on.
    streamed = _json(capsys, **shape, schedule="streamed", sharing="overlap")
    assert streamed["planned_arena"] == 144 + 20 - 1 - 8
    assert streamed["schedule"]["extra_macs"] == 0
    # Image arriving: three rows and four pixels, a pooled one, ten sums of 4 bytes.
    arriving = _json(capsys, **shape, schedule="streamed", input_rows=True)
    assert arriving["planned_arena"] == 3 * 12 + 4 + 4 + 4 * 10
    (step,) = arriving["schedule"]["steps"]
    assert step["alive_bytes"] == step["scratch_bytes"] == 84
    # Input 144 + 448 aligned to 16, no sharing: the pooled map is apart.
    apart = _json(capsys, **shape, sharing="none", alignment=16, order="program")
    assert apart["planned_arena"] == 144 + 400
    # Whatever the plan: these are the models of whole maps.
    for other in (fused, streamed, apart, arriving):
        assert other["layers"] == result["layers"]
        assert other["live_bytes"] == result["live_bytes"]


def test_timeline_and_plan_in_words(genome_file, tmp_path, capsys):
    path = tmp_path / "plan.png"
    _main(
        genome=genome_file, input_shape="12,12,1", timeline=str(path), schedule="fused"
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "planned_arena 244 bytes" in text
    assert "fused: block0_conv0/conv > max_pool in 0 bytes of scratch" in text
    with pytest.raises(ValueError, match="--timeline"):
        missing = str(tmp_path / "nowhere" / "plan.png")
        _main(genome=genome_file, input_shape="12,12,1", timeline=missing)


def test_table_and_csv_hold_the_same_numbers(genome_file, capsys):
    _main(csv=True, genome=genome_file, input_shape="12,12,1")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(row["live_bytes"]) for row in rows] == [544, 500, 110]
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert all(int(row["output_offset"]) >= 0 for row in rows)
    assert [int(row["alive_bytes"]) for row in rows] == [544, 400, 110]
    _main(genome=genome_file, input_shape="12,12,1")
    table = capsys.readouterr().out
    for row in rows:
        line = next(x for x in table.splitlines() if x.startswith(row["name"]))
        assert row["live_bytes"] in line.split() and row["macs"] in line.split()
        assert line.split()[-2:] == [row["step"], row["alive_bytes"]]
    assert "were not given" in table


def closed(x):
    """Someone else's function with its weights closed over."""
    return jnp.tanh(x.reshape(1, -1) @ jnp.asarray(PARAMS["w"]))


def passed(params, x):
    """Someone else's function with its weights passed."""
    return jnp.tanh(x.reshape(1, -1) @ params["w"])


def broken(x):
    """A function with a mistake."""
    return {}["missing"]


def silent(x):
    """A function that forgets its result."""


def loop(x):
    """A loop over activations."""
    return jax.lax.while_loop(lambda c: c.sum() < 3, lambda c: c + 1, x)


PARAMS = {"w": np.eye(12, 3, dtype=np.float32)}


@pytest.mark.parametrize(
    "options",
    [
        {"function": "closed"},
        {"function": "passed", "params": "tests.experiments.test_analyze:PARAMS"},
    ],
)
def test_any_function(options, capsys):
    options["function"] = f"tests.experiments.test_analyze:{options['function']}"
    result = _json(capsys, input_shape="2,3,2", **options)
    assert result["macs"] == 36 and result["model_size_dense"] == 36
    assert result["model_size_nonzero"] == 3
    assert result["input_output"] == 15


def test_params_of_a_function_from_a_file(tmp_path, capsys):
    np.savez(tmp_path / "w.npz", w=np.ones((12, 3), np.float32))
    result = _json(
        capsys,
        function="tests.experiments.test_analyze:passed",
        weights=str(tmp_path / "w.npz"),
        input_shape="2,3,2",
    )
    assert result["model_size_nonzero"] == 36


HERE = "tests.experiments.test_analyze"


@pytest.mark.parametrize(
    "values, message",
    [
        ({}, "either --genome=FILE or --function"),
        ({"genome": "x", "json": True, "csv": True}, "exclude each other"),
        ({"genome": "GENOME", "input_shape": "12,12"}, "--input_shape=12,12"),
        ({"genome": "GENOME", "input_shape": "2,2,1"}, "does not fit --input_shape"),
        ({"genome": "missing.json", "input_shape": "9,9,1"}, "--genome=missing.json"),
        (
            {"genome": "GENOME", "input_shape": "12,12,1", "input_rows": True},
            "--input_rows goes with --schedule=streamed",
        ),
        ({"function": "json", "input_shape": "9,9,1"}, "no module:name"),
        ({"function": "nowhere:f", "input_shape": "9,9,1"}, "cannot be imported"),
        ({"function": f"{HERE}:PARAMS", "input_shape": "9,9,1"}, "is a dict"),
        ({"function": f"{HERE}:passed", "input_shape": "9,9,1"}, "one of --weights"),
        ({"function": f"{HERE}:closed", "input_shape": "9,9,1"}, "closed raised TypeE"),
        ({"function": f"{HERE}:broken", "input_shape": "9,9,1"}, "raised KeyError for"),
        ({"function": f"{HERE}:silent", "input_shape": "9,9,1"}, "returns None"),
        ({"function": f"{HERE}:loop", "input_shape": "9,9,1"}, "primitive 'while' at"),
        ({"function": "builtins:dict", "input_shape": "9,9,1"}, "what arguments"),
        ({"function": f"{HERE}.f:x", "input_shape": "9,9,1"}, "cannot be imported"),
        (
            {
                "function": f"{HERE}:passed",
                "params": f"{HERE}:broken",
                "input_shape": "9,9,1",
            },
            "--params=.*:broken raised TypeError when called",
        ),
    ],
)
def test_errors_name_the_flag(values, message, genome_file):
    if values.get("genome") == "GENOME":
        values = {**values, "genome": genome_file}
    with pytest.raises(ValueError, match=message):
        _main(**values)


def test_unfitting_and_broken_weights(genome_file, tmp_path):
    file = _weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"classifier/kernel should be \(144, 10\)"):
        _main(genome=genome_file, input_shape="14,14,1", weights=file)
    (tmp_path / "broken.npz").write_bytes(b"PK not really")
    with pytest.raises(ValueError, match="cannot be read as an .npz"):
        broken = str(tmp_path / "broken.npz")
        _main(genome=genome_file, input_shape="12,12,1", weights=broken)


@pytest.mark.parametrize("text", ["", '{"version": 99}'])
def test_corrupt_genome_is_one_line(text, tmp_path):
    path = tmp_path / "g.json"
    path.write_text(text)
    command = [sys.executable, "-m", "experiments.analyze", f"--genome={path}"]
    done = subprocess.run(
        [*command, "--input_shape=12,12,1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and f"--genome={path}" in done.stderr


def test_program_prints_exactly_one_object(genome_file):
    command = [sys.executable, "-m", "experiments.analyze", f"--genome={genome_file}"]
    done = subprocess.run(
        [*command, "--input_shape=12,12,1", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["macs"] == 4600
