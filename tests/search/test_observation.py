import numpy as np

from spjax import genomes
from spjax.search.observation import Observation, all_points, feasible, objective_values
from spjax.search.settings import Settings

_SETTINGS = Settings(
    input_shape=(8, 8, 1),
    num_classes=10,
    memory_model="input_output",
    limits=(("input_output", 500), ("model_size_nonzero", 100)),
)
_GENOME = genomes.random_genome(np.random.default_rng(0), (8, 8, 1))


def _figures(error, size, memory):
    return dict(zip(_SETTINGS.objectives, (error, size, memory), strict=True))


_TRIALS = [
    Observation(
        0,
        _GENOME,
        "completed",
        _figures(0.1, 90, 400),
        (_figures(0.2, 80, 400), _figures(0.3, 70, 600)),
    ),
    Observation(
        1, _GENOME, "completed", _figures(0.05, 110, 10), (_figures(0.06, 99, 10),)
    ),
    Observation(2, _GENOME, "stopped", _figures(0.4, 10, 10)),
    Observation(3, _GENOME, "failed"),
    Observation(4, _GENOME, "running"),
]


def test_parents_are_completed_trials_within_the_limits():
    assert [o.index for o in feasible(_SETTINGS, _TRIALS)] == [0]
    values = objective_values(_SETTINGS, _TRIALS[:2])
    np.testing.assert_array_equal(values, [[0.1, 90, 400], [0.05, 110, 10]])


def test_readings_count_each_by_itself():
    # Trial 1 is too large itself, and its reading is not.
    points = all_points(_SETTINGS, _TRIALS)
    expected = [[0.1, 90, 400], [0.2, 80, 400], [0.06, 99, 10]]
    np.testing.assert_array_equal(points, expected)
    assert all_points(_SETTINGS, _TRIALS[2:]).shape == (0, 3)
