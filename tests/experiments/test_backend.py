import os
import subprocess

import pytest

from experiments import _backend


def test_tests_compute_on_a_cpu_with_plugins_or_without(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    for plugin in (False, True):
        monkeypatch.setattr(_backend, "_has_plugin", lambda plugin=plugin: plugin)
        assert _backend.has_accelerator() is False


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (0, "gpu\n", True),
        (0, "a notice\ntpu\n", True),
        (0, "cpu\n", False),
        (1, "", False),
    ],
)
def test_the_process_that_is_asked_has_the_last_word(monkeypatch, code, said, expected):
    def run(command, **_):
        return subprocess.CompletedProcess(command, code, said, "")

    monkeypatch.setattr(_backend, "_has_plugin", lambda: True)
    monkeypatch.setattr(subprocess, "run", run)
    assert _backend.has_accelerator() is expected


def test_memory_is_shared_unless_the_user_says_otherwise(monkeypatch):
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    monkeypatch.setenv(name, "true")
    _backend.share_memory()
    assert os.environ[name] == "true"
    monkeypatch.delenv(name)
    _backend.share_memory()
    assert os.environ[name] == "false"


def test_defaults(monkeypatch):
    for cores, workers in ((1, 1), (2, 2), (64, 2), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert _backend.default_workers(False) == workers
        assert _backend.default_workers(True) == 1
    assert _backend.default_together(False) == 1
    assert _backend.default_together(True) > 1
