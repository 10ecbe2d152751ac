"""Settings out of range are named."""

import pytest

from spjax import training


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"batch_size": -1}, "batch_size=-1 must be at least 1"),
        ({"prune_updates": 0}, "prune_updates=0"),
        ({"seed": -2}, "seed=-2 must not be negative"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1"),
        ({"augment_shift": -1}, "augment_shift=-1"),
        ({"warmup": 1.5}, "warmup=1.5 is a share"),
        ({"prune_begin": 0.8}, "prune_begin=0.8 and prune_end=0.7"),
        ({"prune_end": 1.1}, "prune_end=1.1"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(training.TrainingError, match=message):
        training.TrainConfig(**options)


def test_the_defaults_are_good():
    assert training.TrainConfig().prune_begin < training.TrainConfig().prune_end
