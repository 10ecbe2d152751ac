import math

import numpy as np
import pytest
from scipy import stats

from spjax import genomes
from spjax.search import surrogates

torch = pytest.importorskip("torch")

from spjax.search._arc_kernel import arc_matern_kernel, genome_kernel  # noqa: E402

_SHAPE = (16, 16, 1)


def _smooth(genome):
    """A smooth function of a few genes, some of them conditional."""
    first = genome.blocks[0].convs[0]
    total = 0.5 * math.log(first.channels) - 0.4 * first.batch_norm
    total += (math.log10(genome.training.learning_rate) + 2.5) ** 2
    if genome.training.pruning != "none":
        total += 2 * genome.training.sparsity**3
    return total + 0.5 * len(genome.blocks)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    drawn = [genomes.random_genome(rng, _SHAPE) for _ in range(180)]
    inputs = np.array([genomes.embedding(genome) for genome in drawn])
    truth = np.array([_smooth(genome) for genome in drawn])
    noisy = truth + 0.05 * rng.standard_normal(len(truth))
    return inputs, truth, noisy


@pytest.fixture(scope="module")
def model(data):
    inputs, _, noisy = data
    return surrogates.fit(inputs[:100], noisy[:100])


def test_the_kernel_is_matern_five_halves_of_the_scaled_arc_distance(data):
    # The definition, spelled out in NumPy.
    inputs = data[0][:5]
    columns = inputs.shape[1] // 2
    kernel = arc_matern_kernel(columns)
    scales = np.linspace(0.5, 3, columns)
    kernel.base_kernel.lengthscale = torch.as_tensor(scales)
    kernel.outputscale = 1.7
    expected = np.empty((5, 5))
    for i, a in enumerate(inputs):
        for j, b in enumerate(inputs):
            sines = (a[:columns] - b[:columns]) ** 2
            cosines = (a[columns:] - b[columns:]) ** 2
            r = math.sqrt(5 * np.sum((sines + cosines) / scales**2))
            expected[i, j] = 1.7 * (1 + r + r * r / 3) * math.exp(-r)
    found = kernel(torch.as_tensor(inputs)).to_dense().detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_traits_add_a_plain_matern_kernel(data):
    inputs = np.hstack([data[0][:4], np.arange(12.0).reshape(4, 3) ** 1.5 / 9])
    columns = data[0].shape[1] // 2
    kernel = genome_kernel(columns, 3)
    arc, plain = kernel.kernels
    plain.outputscale, plain.base_kernel.lengthscale = (
        0.6,
        torch.tensor([1.0, 2.0, 4.0]),
    )
    scaled = inputs[:, -3:] / np.array([1.0, 2.0, 4.0])
    r = math.sqrt(5) * np.linalg.norm(scaled[:, None] - scaled[None], axis=-1)
    expected = 0.6 * (1 + r + r * r / 3) * np.exp(-r)
    expected += arc(torch.as_tensor(data[0][:4])).to_dense().detach().numpy()
    found = kernel(torch.as_tensor(inputs)).to_dense().detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_trend_in_the_traits_is_learnt_from_few_trials(data):
    # What depends on the traits alone, and genes that say nothing about it.
    rng = np.random.default_rng(1)
    traits = rng.normal(size=(60, 2))
    truth = traits @ [1.0, -0.5]
    inputs = np.hstack([data[0][:60], traits])
    with_traits = surrogates.fit(inputs[:20], truth[:20], traits=2)
    found = surrogates.predict(with_traits, inputs[20:])[0]
    assert np.corrcoef(found, truth[20:])[0, 1] > 0.95


def test_the_posterior_ranks_what_it_has_not_seen(data, model):
    inputs, truth, _ = data
    mean, covariance = surrogates.predict(model, inputs[100:])
    assert stats.spearmanr(mean, truth[100:]).statistic > 0.7
    assert np.mean((mean - truth[100:]) ** 2) < 0.5 * np.var(truth[100:])
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-8)
    # Surer where it has looked.
    seen = np.diag(surrogates.predict(model, inputs[:100])[1])
    assert seen.mean() < 0.7 * np.diag(covariance).mean()


def test_the_posterior_is_the_gaussian_conditional(data, model):
    # With the fitted hyperparameters: m = k (K + s^2 I)^-1 y, for standardised y.
    inputs, _, noisy = data
    x, new, y = inputs[:100], inputs[100:120], noisy[:100]
    with torch.no_grad():
        kernel = model.covar_module
        gram = kernel(torch.as_tensor(x)).to_dense().numpy()
        cross = kernel(torch.as_tensor(new), torch.as_tensor(x)).to_dense().numpy()
        prior = kernel(torch.as_tensor(new)).to_dense().numpy()
        noise = float(model.likelihood.noise)
        level = float(model.mean_module.constant)
    centre, spread = y.mean(), y.std(ddof=1)
    standard = (y - centre) / spread
    solve = np.linalg.solve(gram + noise * np.eye(100), cross.T).T
    mean, covariance = surrogates.predict(model, new)
    expected = (level + solve @ (standard - level)) * spread + centre
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)
    expected = (prior - solve @ cross.T) * spread**2
    np.testing.assert_allclose(covariance, expected, atol=1e-4 * spread**2)


def test_thompson_samples_have_the_posterior_moments(data, model):
    inputs = data[0][100:110]
    mean, covariance = surrogates.predict(model, inputs)
    samples = surrogates.thompson(model, inputs, np.random.default_rng(0), count=40_000)
    deviation = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=0.03 * deviation.max())
    np.testing.assert_allclose(
        np.cov(samples.T), covariance, atol=0.03 * deviation.max() ** 2
    )


def test_fit_and_samples_repeat_exactly(data):
    inputs, _, noisy = data
    draws = [
        surrogates.thompson(
            surrogates.fit(inputs[:20], noisy[:20]),
            inputs[100:],
            np.random.default_rng(3),
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*draws)


def test_equal_inputs_and_equal_values_do_no_harm(data):
    inputs = np.repeat(data[0][:3], 2, axis=0)
    model = surrogates.fit(inputs, np.full(6, 0.25))
    samples = surrogates.thompson(model, inputs, np.random.default_rng(0), count=5)
    assert np.isfinite(samples).all()
    assert np.abs(surrogates.predict(model, inputs)[0] - 0.25).max() < 0.05
    one = surrogates.fit(data[0][:1], np.array([0.5]))
    assert np.isfinite(surrogates.thompson(one, inputs, np.random.default_rng(0))).all()


def test_errors_are_modelled_on_a_log_scale():
    errors = np.array([0.9, 0.2, 0.02, 0.001])
    np.testing.assert_allclose(
        surrogates.to_error(surrogates.from_error(errors)), errors
    )
    steps = surrogates.from_error(np.array([0.2, 0.1, 0.02, 0.01]))
    assert steps[0] - steps[1] == pytest.approx(steps[2] - steps[3])
    assert surrogates.from_error(np.array(0.0)) == math.log(1e-3)
    assert surrogates.to_error(np.array(3.0)) == 1.0


def test_one_thread_is_enough(model):
    assert torch.get_num_threads() == 1
