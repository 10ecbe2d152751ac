import json

import numpy as np
import pytest

from spjax.genomes import Bounds, GenomeError
from spjax.search.errors import SearchError
from spjax.search.settings import Settings

_SETTINGS = Settings(
    input_shape=(28, 28, 1),
    num_classes=10,
    memory_model="live_bytes",
    limits=(("live_bytes", 2048), ("model_size_dense", 900)),
    seed=3,
    bounds=Bounds(channels=(2, 9), pruning=("weight",), sparsity=(0.1, 0.9)),
)


def test_settings_survive_json():
    text = json.dumps(_SETTINGS.to_json())
    assert Settings.from_json(json.loads(text)) == _SETTINGS
    assert hash(Settings.from_json(json.loads(text))) == hash(_SETTINGS)


def test_objectives_and_their_limits():
    assert _SETTINGS.objectives == (
        "validation_error",
        "model_size_nonzero",
        "live_bytes",
    )
    np.testing.assert_array_equal(
        _SETTINGS.objective_limits(), [np.inf, np.inf, 2048.0]
    )
    assert _SETTINGS.limit_of == {"live_bytes": 2048, "model_size_dense": 900}
    assert _SETTINGS.chance_error == 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory_model": "sram"}, "memory_model = 'sram'"),
        ({"limits": (("validation_error", 1),)}, "'validation_error'"),
        ({"limits": (("input_output", 0),)}, "limit on input_output is 0"),
        ({"random_share": 1.5}, "random_share = 1.5"),
        ({"error_bound": 0.0}, "error_bound = 0.0"),
        ({"initial_trials": 0}, "initial_trials = 0"),
        ({"candidates": 0}, "candidates = 0"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_wrong_settings_are_refused_by_name(changes, message):
    with pytest.raises(SearchError, match=message):
        Settings(input_shape=(8, 8, 1), num_classes=10, **changes)


def test_damaged_settings_are_refused():
    tree = _SETTINGS.to_json()
    for damaged in ({**tree, "surprise": 1}, {k: tree[k] for k in ("seed", "bounds")}):
        with pytest.raises(SearchError, match="damaged"):
            Settings.from_json(damaged)
    with pytest.raises(GenomeError, match="channels"):
        Settings.from_json({**tree, "bounds": {**tree["bounds"], "channels": [5, 1]}})
