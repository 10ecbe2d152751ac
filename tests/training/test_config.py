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
        ({"augment_rotation": -5}, "augment_rotation=-5"),
        ({"augment_scaling": 1.0}, "augment_scaling=1.0 is a share"),
        ({"warmup": 1.5}, "warmup=1.5 is a share"),
        ({"prune_begin": 0.8}, "prune_begin=0.8 and prune_end=0.7"),
        ({"prune_end": 1.1}, "prune_end=1.1"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(training.TrainingError, match=message):
        training.TrainConfig(**options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"augment_shift": 2.0}, False),
        ({"augment_shift": 0.5}, True),
        ({"augment_shift": 1, "augment_rotation": 3}, True),
        ({"augment_scaling": 0.1}, True),
    ],
)
def test_what_reads_in_between_pixels(options, expected):
    assert training.TrainConfig(**options).warps is expected


def test_the_defaults_are_good():
    assert training.TrainConfig().prune_begin < training.TrainConfig().prune_end
