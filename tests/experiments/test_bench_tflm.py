import importlib.util

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import _cli, _tflm, bench_tflm, check_tflite
from spjax import analysis, deploy
from tests.experiments import deployed_run
from tests.experiments.deployed_run import run_dir  # noqa: F401

pytest.importorskip("tflite_micro")


@pytest.fixture(autouse=True)
def _parsed():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["bench_tflm"])


def _network(seed):
    rng = np.random.default_rng(seed)
    quantised = check_tflite.random_network(rng, (12, 12, 1), seed)
    shape = quantised.program.tensors["input"].shape[1:]
    return quantised, rng.integers(-128, 128, (2, *shape), np.int8)


@pytest.mark.parametrize("seed", [0, 4])
def test_the_arena_is_as_small_as_it_can_be(seed):
    """With less an interpreter does not start; with more, to plan in, it does."""
    from tflite_micro.python.tflite_micro import runtime

    quantised, images = _network(seed)
    blob = deploy.to_tflite(quantised)
    found = _tflm.arena(blob)
    total = found.head + found.tail
    interpreter = runtime.Interpreter.from_bytes(blob, arena_size=total + 8192)
    interpreter.set_input(images[:1], 0)
    interpreter.invoke()
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(blob, arena_size=total - 64)
    # No plan of TFLM's is below a layer's input and output.
    report = analysis.analyze(quantised.program).to_dict()
    assert found.head >= report["input_output"]


def test_a_row_has_both_arenas_and_equal_outputs():
    deployed_run.need("host")
    quantised, images = _network(1)
    row = bench_tflm.compare("one", quantised, images)
    assert row.equal and row.measured == row.smallest <= row.whole <= row.tflm.head
    assert row.input == images[0].size
    assert row.markdown().startswith(f"| one | {row.input:,} | {row.file:,} | ")
    assert row.ratio == row.tflm.head / row.smallest


def test_a_run_s_front_is_compared(run_dir, capsys):  # noqa: F811
    deployed_run.need("host")
    with flagsaver.as_parsed(run_dirs=str(run_dir)):
        assert bench_tflm.main(["bench_tflm"]) == 0
    said = capsys.readouterr().out
    assert f"| {run_dir.name} 0007 | 64 |" in said and "1 networks" in said


def test_other_outputs_are_a_failure(run_dir, monkeypatch, capsys):  # noqa: F811
    deployed_run.need("host")
    real = _tflm.tflm
    monkeypatch.setattr(_tflm, "tflm", lambda *given: real(*given) + 1)
    with flagsaver.as_parsed(run_dirs=str(run_dir)):
        assert bench_tflm.main(["bench_tflm"]) == 1
    assert "other outputs than promised" in capsys.readouterr().out


def test_mistakes_are_named(monkeypatch):
    with pytest.raises(_cli.UsageError, match="--run_dirs or --quantised_dirs"):
        bench_tflm.main(["bench_tflm"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(_cli.UsageError, match="pip install tflite-micro"):
        bench_tflm.main(["bench_tflm"])
