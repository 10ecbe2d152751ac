import dataclasses
import json

import pytest

from spjax.search import run_file
from spjax.search.errors import StudyError
from spjax.search.settings import Settings

_SETTINGS = Settings(input_shape=(8, 8, 1), num_classes=10, seed=1)
_CONFIG = {"dataset": "digits", "fingerprint": "abc", "sizes": (1, 2), "epochs": 3}


@pytest.fixture
def stored(tmp_path):
    run_file.write_run_file(tmp_path, _SETTINGS, _CONFIG)
    return run_file.read_run_file(tmp_path)


def test_what_was_written_is_read_back(stored):
    assert stored["settings"] == _SETTINGS
    assert stored["config"] == {**_CONFIG, "sizes": [1, 2]}
    assert stored["versions"]["jax"] and stored["started"].startswith("20")


def test_the_same_run_may_go_on(tmp_path, stored):
    run_file.check_same(tmp_path, stored, _SETTINGS, _CONFIG)
    run_file.check_same(tmp_path, stored, None, None)


@pytest.mark.parametrize(
    ("settings", "config", "message"),
    [
        ({}, {"dataset": "mnist"}, "dataset=digits, not dataset=mnist"),
        ({}, {"board": "uno"}, "board=null, not board=uno"),
        ({"seed": 2}, {}, "seed=1, not seed=2"),
        ({"memory_model": "live_bytes"}, {}, "not memory_model=live_bytes"),
    ],
)
def test_the_entry_that_differs_is_named(tmp_path, stored, settings, config, message):
    now = dataclasses.replace(_SETTINGS, **settings)
    with pytest.raises(StudyError, match=message) as caught:
        run_file.check_same(tmp_path, stored, now, {**_CONFIG, **config})
    assert str(tmp_path) in str(caught.value)


def test_an_entry_that_was_dropped_differs_too(tmp_path, stored):
    config = {k: v for k, v in _CONFIG.items() if k != "epochs"}
    with pytest.raises(StudyError, match="epochs=3, not epochs=null"):
        run_file.check_same(tmp_path, stored, _SETTINGS, config)


def test_missing_damaged_and_foreign_files_are_told_apart(tmp_path, stored):
    with pytest.raises(StudyError, match="holds no run"):
        run_file.read_run_file(tmp_path / "elsewhere")
    path = tmp_path / "run.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format_version": 99}))
    with pytest.raises(StudyError, match="another version .*99"):
        run_file.read_run_file(tmp_path)
    for text in ("{", "[]", json.dumps({**content, "settings": {}})):
        path.write_text(text)
        with pytest.raises(StudyError, match="damaged"):
            run_file.read_run_file(tmp_path)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot write"):
        run_file.write_run_file(tmp_path / "file", _SETTINGS, {})
