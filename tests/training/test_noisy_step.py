"""The noisy step: its loss by hand, its multiplier, and the way back to a plain one."""

import dataclasses

import jax
import numpy as np
import pytest

from spjax import networks, pruning, training
from spjax.genomes import Block, Conv, Genome, Training

SHAPE, CLASSES, BATCH = (6, 6, 1), 4, 8
CONFIG = training.TrainConfig(warmup=0.5, weight_decay=0.3)


def genome_of(kind, sparsity=0.8):
    return Genome(
        blocks=(Block(convs=(Conv(channels=3),)),),
        training=Training(0.01, kind, sparsity),
    )


def start(kind, sparsity=0.8, seed=0):
    genome = genome_of(kind, sparsity)
    variables = networks.init_variables(genome, SHAPE, CLASSES, 0)
    plain = training.make_settings(genome.training, CONFIG, 10, (100.0,), (50.0,))
    config = dataclasses.replace(CONFIG, seed=seed)
    settings = training.make_noisy_settings(plain, config, genome.training, 50, 9)
    return genome, settings, training.init_noisy_state(variables, kind, plain)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, *SHAPE), np.uint8)
    return images, rng.integers(0, CLASSES, BATCH).astype(np.int32)


@pytest.mark.parametrize("kind", ["variational", "bayesian"])
def test_equal_seeds_draw_equal_noise(kind, batch):
    runs = []
    for seed in (0, 0, 1):
        genome, settings, state = start(kind, seed=seed)
        step = training.make_noisy_step(genome, CLASSES)
        for _ in range(2):
            state = step(state, settings, *batch)
        runs.append(jax.tree.map(np.asarray, state.params))
    jax.tree.map(np.testing.assert_array_equal, runs[0], runs[1])
    kernels = [run["classifier"]["kernel"] for run in (runs[0], runs[2])]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-5


def test_the_weight_of_the_divergence_follows_the_share_removed(batch):
    genome, settings, state = start("variational")
    step = training.make_noisy_step(genome, CLASSES)
    assert state.pressure == pytest.approx(np.log(1e-3))
    pressures, shares = [], []
    for _ in range(8):
        shares.append(float(training.removed_share(state.params)))
        state = step(state, settings, *batch)
        pressures.append(float(state.pressure))
    ramp, expected = float(settings.ramp), np.log(1e-3)
    assert ramp == pytest.approx(6.0)
    for count, share in enumerate(shares):
        target = 0.8 * min(1.0, count / ramp)
        expected = np.clip(expected + 30 / ramp * (target - share), np.log(1e-3), 0.0)
        assert pressures[count] == pytest.approx(expected, abs=1e-4)
    assert pressures[-1] == 0.0  # nothing is removed so soon: the weight is at its top


def test_the_divergence_acts_with_its_weight(batch):
    """Blank images teach nothing: only the divergence moves log alpha."""
    genome, settings, state = start("variational")
    step = training.make_noisy_step(genome, CLASSES)
    blank = np.zeros_like(batch[0]), batch[1]
    settings = settings._replace(plain=settings.plain._replace(mean=np.zeros(1, "f4")))
    before = float(pruning.layers.kl(state.params))
    for _ in range(6):
        state = step(state, settings, *blank)
    assert float(pruning.layers.kl(state.params)) < before


@pytest.mark.parametrize("kind", ["variational", "bayesian"])
def test_settling_keeps_means_moments_and_the_count(kind, batch):
    genome, settings, state = start(kind)
    step = training.make_noisy_step(genome, CLASSES)
    for _ in range(3):
        state = step(state, settings, *batch)
    state = jax.tree.map(np.asarray, state)
    plain = training.settle(state)
    template = training.init_state(
        networks.init_variables(genome, SHAPE, CLASSES, 0), settings.plain
    )
    assert jax.tree.structure(plain) == jax.tree.structure(template)
    assert [np.shape(x) for x in jax.tree.leaves(plain)] == [
        np.shape(x) for x in jax.tree.leaves(template)
    ]
    assert plain.opt_state.count == 3
    jax.tree.map(
        np.testing.assert_array_equal,
        plain.params.tree(),
        training.mean_params(state.params),
    )
    # Moments stay with their tensors, though the vectors are shorter.
    for name in ("bias", "kernel"):
        noisy, own = (
            _slice(params, "classifier", name)
            for params in (state.params, plain.params.tree())
        )
        vectors = [_vectors(p.opt_state) for p in (state, plain)]
        assert len(vectors[0]) == len(vectors[1]) == 2
        for before, after in zip(*vectors, strict=True):
            np.testing.assert_array_equal(before[noisy], after[own])
            assert after[own].any()
    # The plain step goes on with it.
    plain = training.make_step(genome, CLASSES)(plain, settings.plain, *batch)
    assert plain.opt_state.count == 4 and np.isfinite(plain.totals).all()


def _slice(params, *path):
    """Where a tensor lies in the vector of all parameters."""
    begin = 0
    for keys, leaf in jax.tree_util.tree_leaves_with_path(params):
        if tuple(key.key for key in keys) == path:
            return slice(begin, begin + leaf.size)
        begin += leaf.size
    raise KeyError(path)


def _vectors(opt_state):
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(opt_state)]
    return [leaf for leaf in leaves if leaf.ndim and leaf.dtype != bool]


def test_kinds_share_the_plain_program_and_no_other():
    plain = training.make_step(genome_of("weight"), CLASSES)
    assert training.make_step(genome_of("variational"), CLASSES) is plain
    noisy = training.make_noisy_step(genome_of("variational"), CLASSES)
    assert training.make_noisy_step(genome_of("variational", 0.3), CLASSES) is noisy
    assert training.make_noisy_step(genome_of("bayesian"), CLASSES) is not noisy
