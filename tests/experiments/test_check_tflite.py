import numpy as np
import pytest

from experiments import _cli, check_tflite
from spjax import deploy

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tflite_micro")
_MUST_AGREE = {"LiteRT", "its tensors", "TFLM"}


def _network(seed):
    rng = np.random.default_rng(seed)
    quantised = check_tflite.random_network(rng, (12, 12, 1), seed)
    shape = quantised.program.tensors["input"].shape[1:]
    return quantised, rng.integers(-128, 128, (3, *shape), np.int8)


def test_networks_agree():
    for seed in range(3):
        assert not check_tflite.compare(*_network(seed)) & _MUST_AGREE


def test_another_file_is_noticed(monkeypatch):
    quantised, images = _network(3)
    program = quantised.program
    other = deploy.to_tflite(
        deploy.quantise(program, _float_images(program), precisions="ternary")
    )
    monkeypatch.setattr(check_tflite.deploy, "to_tflite", lambda _: other)
    assert check_tflite.compare(quantised, images) >= _MUST_AGREE


def _float_images(program):
    shape = program.tensors["input"].shape[1:]
    return np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)


def test_missing_interpreters_are_named(monkeypatch):
    monkeypatch.setattr(check_tflite.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(_cli.UsageError, match="ai-edge-litert is missing; run pip"):
        check_tflite.main(["check_tflite"])
