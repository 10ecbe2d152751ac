"""Many trainings at once are those of one by one, on one device and on four."""

import dataclasses

import jax
import numpy as np
import pytest

from spjax import networks, training
from spjax.data import Split, fit_normalisation
from spjax.genomes import Block, Conv, Genome, GenomeError, Pool, Training
from spjax.training import Member
from tests.host_devices import run_on_four
from tests.training.blobs import CLASSES, blobs

GENOME = Genome(
    blocks=(
        Block(
            convs=(Conv(channels=4, stride=2), Conv("separable", channels=5)),
            pool=Pool("max", 2),
        ),
    ),
    dense=(7,),
)
CONFIG = training.TrainConfig(epochs=2, batch_size=20, augment_shift=1)


TRAIN, HELD_OUT = blobs(130, 0), blobs(70, 1)
NORMALISATION = fit_normalisation(TRAIN.images)
DATA = (TRAIN, HELD_OUT, CLASSES, NORMALISATION)
OTHER = networks.init_variables(GENOME, (9, 9, 1), CLASSES, 77)
MEMBERS = (
    Member(Training(0.02, "weight", 0.6), seed=3),
    Member(Training(0.01, "channel", 0.5), seed=4),
    Member(Training(0.003, "none", 0.0), seed=3, variables=OTHER),
)


def alone(member, config=CONFIG):
    return training.train(
        dataclasses.replace(GENOME, training=member.training),
        *DATA,
        dataclasses.replace(config, seed=member.seed),
        variables=member.variables,
    )


def same(found, expected):
    """Equal but for rounding, which may tip single weights or images over."""
    for a, b in zip(found.history, expected.history, strict=True):
        assert a["epoch"] == b["epoch"]
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
        for name in ("train_error", "validation_error", "sparsity"):
            assert a[name] == pytest.approx(b[name], abs=0.015)
    assert found.validation_error == found.history[-1]["validation_error"]
    pairs = list(zip(*map(jax.tree.leaves, (found.masks, expected.masks)), strict=True))
    differing = sum(int((a != b).sum()) for a, b in pairs)
    assert differing <= 0.01 * sum(a.size for a, _ in pairs)
    tree = jax.tree.map(
        lambda a, b: float(np.mean(np.abs(a - b) > 1e-3)),
        found.variables,
        expected.variables,
    )
    assert max(jax.tree.leaves(tree)) < 0.1
    assert not found.diverged and not expected.diverged
    assert found.threshold is None and found.noise is None


@pytest.fixture(scope="module")
def separate():
    return [alone(member) for member in MEMBERS]


@pytest.mark.parametrize("scan", [False, True], ids=["calls", "scan"])
def test_a_population_is_its_members_trained_one_by_one(separate, scan):
    seen = []
    results = training.train_population(
        GENOME,
        MEMBERS,
        *DATA,
        CONFIG,
        scan=scan,
        on_epoch=lambda epoch, entries: seen.append((epoch, entries)),
    )
    for found, expected in zip(results, separate, strict=True):
        same(found, expected)
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert seen[1][1] == tuple(result.history[1] for result in results)
    # Masked weights are zero, in the shares that were asked for.
    for result in results:
        for weight, mask in zip(
            jax.tree.leaves(result.variables["params"]),
            jax.tree.leaves(result.masks),
            strict=True,
        ):
            assert weight.shape == mask.shape and (weight[~mask] == 0).all()
    shares = [training.kernel_sparsity(r.variables["params"]) for r in results]
    assert shares[0] == pytest.approx(0.6, abs=0.02)
    assert 0 < shares[1] < 0.8 and shares[2] == 0
    assert all(0 < r.seconds_setup <= r.seconds_total for r in results)


def test_the_default_on_a_cpu_is_a_call_a_step(separate):
    (found,) = training.train_population(GENOME, MEMBERS[1:2], *DATA, CONFIG)
    same(found, separate[1])


def test_a_member_that_diverges_disturbs_no_other(separate):
    poisoned = jax.tree.map(np.array, OTHER)
    poisoned["params"]["classifier"]["kernel"][0, 0] = np.nan
    broken = Member(Training(0.01, "weight", 0.5), variables=poisoned)
    members = (broken, *MEMBERS[:2], Member(Training(1e-3, "none", 0.0), 9, poisoned))
    seen = []
    results = training.train_population(
        GENOME,
        members,
        *DATA,
        CONFIG,
        on_epoch=lambda epoch, entries: seen.append([e is None for e in entries]),
    )
    assert seen == [[True, False, False, True]] * 2
    for result in (results[0], results[3]):
        assert result.diverged and result.validation_error == 1.0
        assert result.history == ()
    same(results[1], separate[0])
    same(results[2], separate[1])
    # With nobody left the run ends.
    (only,) = training.train_population(GENOME, (broken,), *DATA, CONFIG)
    assert only.diverged and only.history == ()
    assert np.isnan(only.variables["params"]["classifier"]["kernel"]).any()


def test_the_population_s_weights_and_a_callback_that_stops():
    still = [Member(Training(1e-6, "none", 0.0), seed) for seed in (0, 1)]
    results = training.train_population(
        GENOME, still, *DATA, CONFIG, variables=OTHER, on_epoch=lambda *_: True
    )
    for result in results:
        assert len(result.history) == 1
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
            result.variables["params"],
            OTHER["params"],
        )
    # Other orders of the images: other statistics.
    first, second = (jax.tree.leaves(r.variables["batch_stats"]) for r in results)
    assert any((a != b).any() for a, b in zip(first, second, strict=True))


def test_bad_input():
    with pytest.raises(training.TrainingError, match="members is empty"):
        training.train_population(GENOME, (), *DATA, CONFIG)
    with pytest.raises(training.TrainingError, match="devices is empty"):
        training.train_population(GENOME, MEMBERS, *DATA, CONFIG, devices=())
    for changes in ({"augment_scaling": 0.1}, {"augment_mirror": True}):
        config = dataclasses.replace(CONFIG, **changes)
        with pytest.raises(training.TrainingError, match="parts of a pixel"):
            training.train_population(GENOME, MEMBERS, *DATA, config)
    for kind in ("variational", "bayesian"):
        noisy = (MEMBERS[0], Member(Training(0.01, kind, 0.5)))
        with pytest.raises(training.TrainingError, match=f"member 1 has .*'{kind}'"):
            training.train_population(GENOME, noisy, *DATA, CONFIG)
    with pytest.raises(GenomeError, match="learning_rate"):
        training.train_population(
            GENOME, (Member(Training(-1.0, "none", 0.0)),), *DATA, CONFIG
        )
    empty = Split(np.zeros((0, 9, 9, 1), np.uint8), np.zeros(0, np.int32))
    with pytest.raises(training.TrainingError, match="a split is empty"):
        training.train_population(GENOME, MEMBERS, empty, *DATA[1:], CONFIG)


SCRIPT = """
import jax, numpy as np
from tests.training.test_population import (
    CONFIG, DATA, GENOME, MEMBERS, Member, Training, same, training
)

devices = jax.devices()
assert len(devices) == 4
members = (*MEMBERS, *(Member(Training(0.01, "weight", 0.3), seed) for seed in (5, 6)))
length = 1024
shards = []

def look(epoch, entries):
    # Parameters, and two moments and the masks of the optimiser; five members, filled
    # up to eight.
    for array in jax.live_arrays():
        if array.shape == (8, length):
            parts = array.addressable_shards
            assert [part.data.shape for part in parts] == [(2, length)] * 4
            assert {part.device for part in parts} == set(devices)
            shards.append(array)

spread = training.train_population(GENOME, members, *DATA, CONFIG, on_epoch=look)
assert len(shards) >= 2 * 4
one = training.train_population(
    GENOME, members, *DATA, CONFIG, devices=devices[:1], scan=True
)
for found, expected in zip(spread, one, strict=True):
    same(found, expected)
# Fewer members than devices: the rest stay idle.
few = training.train_population(GENOME, members[:2], *DATA, CONFIG, scan=True)
for found, expected in zip(few, one, strict=False):
    same(found, expected)
print(len(spread), "members")
"""


def test_four_devices_share_the_members_out():
    done = run_on_four("-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["5", "members"]
