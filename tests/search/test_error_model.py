import dataclasses

import numpy as np
import pytest

from spjax import genomes
from spjax.search import error_model, surrogates
from spjax.search.drawing import cost_of
from spjax.search.early_stop import PREDICTED
from spjax.search.observation import Observation
from spjax.search.settings import Settings
from spjax.search.traits import TRAITS
from tests.search.synthetic import synthetic_error

_SETTINGS = Settings(
    input_shape=(16, 16, 1), num_classes=10, limits=(("planned_arena", 2048),)
)


@pytest.fixture(scope="module")
def trials():
    rng, seen = np.random.default_rng(0), []
    for index in range(24):
        genome = genomes.random_genome(rng, (16, 16, 1))
        error = synthetic_error(genome, cost_of(genome, _SETTINGS))
        figures = {"validation_error": error}
        seen.append(Observation(index, genome, "completed", figures))
    return seen


def _predicted(model, drawn):
    inputs = np.stack([error_model.seen_inputs(g, _SETTINGS) for g in drawn])
    return model.predict(inputs)


def test_of_two_trials_nothing_is_learnt(trials):
    running = dataclasses.replace(trials[2], status="running", figures={})
    assert error_model.fit(_SETTINGS, [*trials[:2], running]) is None
    assert error_model.fit(_SETTINGS, trials[:3]) is not None


def test_what_a_trial_says_of_its_error(trials):
    first = trials[0]
    said = {
        "completed": {"validation_error": 0.3},
        "stopped": {PREDICTED: 0.4},
        "failed": {},
        "running": {},
    }
    found = {
        status: error_model.error_of(
            _SETTINGS, dataclasses.replace(first, status=status, figures=figures)
        )
        for status, figures in said.items()
    }
    assert found == {"completed": 0.3, "stopped": 0.4, "failed": 0.9, "running": None}


def test_a_stopped_trial_teaches_as_a_completed_one_of_its_predicted_error(trials):
    figures = {PREDICTED: trials[5].figures["validation_error"]}
    stopped = [*trials]
    stopped[5] = dataclasses.replace(trials[5], status="stopped", figures=figures)
    drawn = [t.genome for t in trials[:8]]
    for one, other in zip(
        _predicted(error_model.fit(_SETTINGS, trials), drawn),
        _predicted(error_model.fit(_SETTINGS, stopped), drawn),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_trials_under_way_are_believed_to_end_as_expected(trials):
    running = [
        dataclasses.replace(t, status="running", figures={}) for t in trials[20:]
    ]
    alone = error_model.fit(_SETTINGS, trials[:20])
    model = error_model.fit(_SETTINGS, [*trials[:20], *running])
    drawn = [t.genome for t in running]
    mean, unsure = _predicted(alone, drawn)
    np.testing.assert_allclose(model.believed, np.exp(mean), rtol=1e-6)
    # Nothing is learnt of where it expects what, only that it is surer there.
    after, surer = _predicted(model, drawn)
    np.testing.assert_allclose(after, mean, atol=0.02)
    assert (surer < 0.8 * unsure).all()


def test_the_trend_goes_on_beyond_what_was_tried():
    # Errors that fall with the first trait alone; the second is constant.
    rng = np.random.default_rng(4)
    count = len(TRAITS)
    inputs = np.hstack([rng.normal(size=(40, 6)), np.ones((40, count))])
    inputs[:, 6] = rng.uniform(2, 4, 40)
    values = -0.7 * inputs[:, 6] + 0.05 * rng.normal(size=40)
    trend = error_model._trend(inputs, values)
    # Ridge: the least of |y - a - b x|^2 + 3 b^2, here by its derivative.
    x = inputs[:, 6] - inputs[:, 6].mean()
    slope = x @ (values - values.mean()) / (x @ x + 3)
    np.testing.assert_allclose(trend[1], slope)
    np.testing.assert_allclose(trend[2:], 0, atol=1e-12)
    far = inputs[:1].copy()
    far[:, 6] = 0.0
    level = values.mean() - slope * inputs[:, 6].mean()
    np.testing.assert_allclose(error_model._along(trend, far), [level])


def test_hyperparameters_come_from_a_round_number_of_trials():
    # 37 observations: fitted to the first 35, then given all.
    rng = np.random.default_rng(1)
    inputs, values = rng.normal(size=(37, 6)), rng.normal(size=37)
    found = error_model.conditioned(inputs, values, 2)
    first = surrogates.fit(inputs[:35], values[:35], traits=2)
    expected = surrogates.refit(first, inputs, values)
    new = rng.normal(size=(4, 6))
    for one, other in zip(
        surrogates.predict(found, new), surrogates.predict(expected, new), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    changed = values.copy()
    changed[36] += 1
    again = error_model.conditioned(inputs, changed, 2)
    assert again.likelihood.noise.item() == found.likelihood.noise.item()
    assert (
        abs(surrogates.predict(again, new)[0] - surrogates.predict(found, new)[0]).max()
        > 0
    )


def test_a_refitted_process_is_the_gaussian_conditional():
    # By hand: m = k (K + s^2 I)^-1 y on the scale of the first values.
    rng = np.random.default_rng(2)
    inputs, values = rng.normal(size=(30, 4)), 5 + 3 * rng.normal(size=30)
    model = surrogates.fit(inputs[:20], values[:20])
    found, _ = surrogates.predict(surrogates.refit(model, inputs, values), inputs[:5])
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        gram = model.covar_module(torch.as_tensor(inputs)).to_dense().numpy()
    noise, level = float(model.likelihood.noise), float(model.mean_module.constant)
    centre, spread = values[:20].mean(), values[:20].std(ddof=1)
    standard = (values - centre) / spread - level
    solved = np.linalg.solve(gram + noise * np.eye(30), standard)
    expected = (level + gram[:5] @ solved) * spread + centre
    np.testing.assert_allclose(found, expected, rtol=1e-4)
