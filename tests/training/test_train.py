"""Whole runs on small problems: what is learnt, what is zero, what repeats."""

import dataclasses

import jax
import numpy as np
import pytest

from spjax import networks, training
from spjax.data import Normalisation, Split, fit_normalisation
from spjax.genomes import Block, Conv, Genome, GenomeError, Training
from tests.training.blobs import CLASSES, blobs

GENOME = Genome(
    blocks=(Block(convs=(Conv(channels=4, stride=2),)),),
    dense=(12,),
    training=Training(learning_rate=0.02, pruning="weight", sparsity=0.6),
)
CONFIG = training.TrainConfig(epochs=6, batch_size=20)

TRAIN, HELD_OUT = blobs(200, 0), blobs(90, 1)
NORMALISATION = fit_normalisation(TRAIN.images)


def run(genome=GENOME, config=CONFIG, **options):
    return training.train(
        genome, TRAIN, HELD_OUT, CLASSES, NORMALISATION, config, **options
    )


@pytest.fixture(scope="module")
def result():
    return run()


def test_it_learns_and_says_so(result):
    assert result.validation_error < 0.05
    assert not result.diverged
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3, 4, 5, 6]
    assert result.history[-1]["validation_error"] == result.validation_error
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    again = training.error_rate(
        GENOME, result.variables, HELD_OUT, CLASSES, NORMALISATION
    )
    assert again == result.validation_error
    assert 0 < result.seconds_setup <= result.seconds_total


def test_zeros_are_where_the_masks_are_and_as_many_as_asked(result):
    kernels = [x for x in jax.tree.leaves(result.variables["params"]) if x.ndim > 1]
    total = sum(x.size for x in kernels)
    zeros = sum(int(np.sum(x == 0)) for x in kernels)
    assert zeros == pytest.approx(0.6 * total, abs=len(kernels))
    assert training.kernel_sparsity(result.variables["params"]) == zeros / total
    assert result.history[-1]["sparsity"] == zeros / total
    for mask, weight in zip(
        jax.tree.leaves(result.masks),
        jax.tree.leaves(result.variables["params"]),
        strict=True,
    ):
        assert mask.shape == weight.shape
        assert np.all(weight[~mask] == 0)


def test_equal_arguments_give_equal_results(result):
    again = run()
    jax.tree.map(np.testing.assert_array_equal, again.variables, result.variables)
    assert again.history == result.history
    other = run(config=dataclasses.replace(CONFIG, seed=1))
    assert other.history != result.history


def test_inherited_weights_are_the_start(result):
    dense = dataclasses.replace(
        GENOME, training=Training(learning_rate=1e-6, pruning="none")
    )
    started = run(
        dense,
        dataclasses.replace(CONFIG, epochs=1),
        variables=result.variables,
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
        started.variables["params"],
        result.variables["params"],
    )


def test_channels_go_as_a_whole_and_the_small_network_does_the_same():
    genome = dataclasses.replace(
        GENOME,
        training=Training(learning_rate=0.02, pruning="channel", sparsity=0.5),
    )
    result = run(genome)
    kernel = result.variables["params"]["block0_conv0"]["conv"]["kernel"]
    assert int(np.any(kernel != 0, axis=(0, 1, 2)).sum()) == 2
    small = networks.compact(genome, result.variables, result.masks, (9, 9, 1))
    assert small.genome.blocks[0].convs[0].channels == 2
    assert small.genome.dense == (6,)
    error = training.error_rate(
        small.genome, small.variables, HELD_OUT, CLASSES, NORMALISATION
    )
    assert error == result.validation_error


def test_divergence_ends_the_run_without_an_error():
    wild = Genome(
        blocks=(Block(convs=(Conv(batch_norm=False),)),),
        training=Training(learning_rate=1.0, pruning="none"),
    )
    # Pixels blown up to 1e33: the first loss is infinite already.
    result = training.train(
        wild, TRAIN, HELD_OUT, CLASSES, Normalisation((0.0,), (1e-38,)), CONFIG
    )
    assert result.diverged
    assert result.validation_error == 1.0
    assert result.history == ()


def test_a_callback_sees_each_epoch_and_can_stop():
    seen = []

    def on_epoch(epoch, entry):
        seen.append((epoch, entry["validation_error"]))
        return epoch == 2

    result = run(on_epoch=on_epoch)
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert len(result.history) == 2
    assert result.validation_error == seen[-1][1]


def test_shifted_images_train_too():
    result = run(config=dataclasses.replace(CONFIG, augment_shift=1))
    assert result.validation_error < 0.2
    warped = dataclasses.replace(CONFIG, augment_shift=0.5, augment_rotation=10)
    other, again = run(config=warped), run(config=warped)
    assert other.validation_error < 0.2
    assert other.history != result.history and other.history == again.history


def test_bad_input():
    empty = Split(np.zeros((0, 9, 9, 1), np.uint8), np.zeros(0, np.int32))
    with pytest.raises(training.TrainingError, match="a split is empty"):
        training.train(GENOME, empty, HELD_OUT, CLASSES, NORMALISATION, CONFIG)
    with pytest.raises(GenomeError):
        run(Genome(downsample=40))


@pytest.fixture(scope="module", params=["variational", "bayesian"])
def noisy(request):
    genes = Training(learning_rate=0.02, pruning=request.param, sparsity=0.7)
    genome = dataclasses.replace(GENOME, training=genes)
    config = dataclasses.replace(CONFIG, epochs=8)
    return genome, config, run(genome, config)


def test_a_noisy_run_ends_sparse_and_plain(noisy):
    genome, config, result = noisy
    assert not result.diverged and result.validation_error < 0.1
    shapes = networks.variable_shapes(genome, (9, 9, 1), CLASSES)["params"]
    assert jax.tree.map(np.shape, result.variables["params"]) == jax.tree.map(
        lambda s: s.shape, shapes
    )
    for weight, mask in zip(
        jax.tree.leaves(result.variables["params"]),
        jax.tree.leaves(result.masks),
        strict=True,
    ):
        assert (weight[~mask] == 0).all()
    small = networks.compact(genome, result.variables, result.masks).variables
    flat = networks.flatten(small["params"])
    left = sum(np.count_nonzero(x) for p, x in flat.items() if p.endswith("kernel"))
    total = sum(n.size for p, n in result.noise.items())
    if genome.training.pruning == "variational":
        assert left == total - round(0.7 * total)
    else:
        assert 0.1 * total < left <= 0.3 * total
    assert np.isfinite(result.threshold)
    again = run(genome, config)
    jax.tree.map(np.testing.assert_array_equal, again.variables, result.variables)


def test_removing_by_noise_loses_less_than_at_random():
    genes = Training(learning_rate=0.02, pruning="variational", sparsity=0.9)
    genome = dataclasses.replace(GENOME, training=genes)
    result = run(genome, dataclasses.replace(CONFIG, epochs=8))
    rng = np.random.default_rng(0)
    flat = networks.flatten(result.variables["params"])
    # log alpha is the noise less the logarithm of the weight, which is taken out.
    chance = {
        path: np.log(flat[path] ** 2 + 1e-16) + rng.normal(size=x.shape)
        for path, x in result.noise.items()
    }
    errors = []
    for noise in (result.noise, chance):
        masks, _ = training.read_at(
            genome, result.variables["params"], 0.95, noise=noise
        )
        variables = training.recalibrate(
            genome,
            result.variables,
            masks,
            TRAIN.images,
            CLASSES,
            NORMALISATION,
            CONFIG,
        )
        errors.append(
            training.error_rate(genome, variables, HELD_OUT, CLASSES, NORMALISATION)
        )
    assert errors[0] < 0.2 < errors[1]


def test_recalibrated_statistics_are_those_of_the_masked_network(result):
    masks, _ = training.read_at(
        GENOME, result.variables["params"], 0.8, previous=result.masks
    )
    variables = training.recalibrate(
        GENOME, result.variables, masks, TRAIN.images, CLASSES, NORMALISATION, CONFIG
    )
    expected = jax.tree.map(np.multiply, result.variables["params"], masks)
    jax.tree.map(np.testing.assert_array_equal, variables["params"], expected)
    # Mean and variance of what the batch norm sees over all images, by NumPy.
    x = (TRAIN.images - np.array(NORMALISATION.mean)) / np.array(NORMALISATION.std)
    kernel = expected["block0_conv0"]["conv"]["kernel"]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = sum(
        padded[:, i : i + 9 : 2, j : j + 9 : 2] @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )
    found = variables["batch_stats"]["block0_conv0"]["norm"]
    np.testing.assert_allclose(found["mean"], y.mean((0, 1, 2)), atol=0.1)
    np.testing.assert_allclose(found["var"], y.var((0, 1, 2)), rtol=0.25, atol=0.02)


def test_a_genome_without_batch_norm_is_only_masked():
    conv = Conv(channels=4, stride=2, batch_norm=False)
    genome = dataclasses.replace(GENOME, blocks=(Block(convs=(conv,)),))
    variables = networks.init_variables(genome, (9, 9, 1), CLASSES, 0)
    masks = training.genome_masks(GENOME.training, variables["params"], 0.5)
    got = training.recalibrate(
        genome, variables, masks, TRAIN.images, CLASSES, NORMALISATION, CONFIG
    )
    expected = jax.tree.map(np.multiply, variables["params"], masks)
    jax.tree.map(np.testing.assert_array_equal, got["params"], expected)
    assert got["batch_stats"] == {}
