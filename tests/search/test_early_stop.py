import dataclasses
import math
import pickle

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from spjax import genomes, search
from spjax.search import early_stop
from spjax.search.drawing import cost_of
from spjax.search.pareto import non_dominated
from spjax.search.readings import further_sparsities
from tests.search.study_tasks import CONFIG, SETTINGS, figures_of

_EPOCHS = 6
_SIZE, _MEMORY = SETTINGS.objectives[1:]


def _genome(pruning="weight", sparsity=0.5, channels=8):
    return genomes.Genome(
        blocks=(genomes.Block(convs=(genomes.Conv(channels=channels, stride=2),)),),
        training=genomes.Training(1e-2, pruning, sparsity if pruning != "none" else 0),
    )


def _row(index, curve, *, size=10, memory=10, genome=None, **changes):
    genes = dataclasses.asdict((genome or _genome()).training)
    return {
        "index": index,
        "status": "completed",
        "genome": {"training": genes},
        "validation_error": curve[-1],
        "validation_curve": list(curve),
        "model_size_nonzero": size,
        "planned_arena": memory,
        **changes,
    }


def _rows(rng, count=12):
    """Curves that fall by about the same factor to the end."""
    rows = []
    for index in range(count):
        first = rng.uniform(0.05, 0.8)
        fall = np.exp(-0.1 * np.arange(_EPOCHS) + 0.05 * rng.normal(size=_EPOCHS))
        pruning = ("weight", "channel", "none")[index % 3]
        rows.append(
            _row(index, first * fall, genome=_genome(pruning, rng.uniform(0.1, 0.9)))
        )
    return rows


def test_the_posterior_is_that_of_one_curve_after_another():
    rng = np.random.default_rng(0)
    inputs, values = rng.normal(size=(9, 4)), rng.normal(size=9)
    mean, covariance = np.array([0.0, 1.0, 0.0, 0.0]), np.eye(4)
    shape, rate = 2.0, 0.25
    for x, y in zip(inputs, values, strict=True):
        # The update of a Kalman filter whose noise is unknown.
        predictive = 1 + x @ covariance @ x
        gain = covariance @ x / predictive
        rate += (y - x @ mean) ** 2 / (2 * predictive)
        mean = mean + gain * (y - x @ mean)
        covariance = covariance - np.outer(gain, x @ covariance)
        shape += 0.5
    got = early_stop.posterior(inputs, values)
    np.testing.assert_allclose(got[0], mean, atol=1e-10)
    np.testing.assert_allclose(got[1], covariance, atol=1e-10)
    assert got[2] == 2 * shape
    assert got[3] == pytest.approx(rate / shape)


def test_the_bound_is_the_quantile_of_draws_from_the_posterior():
    rng = np.random.default_rng(1)
    rows, genome = _rows(rng, 30), _genome("channel", 0.7)
    rung = early_stop.fit_rung(rows, genome, 2, _EPOCHS)
    inputs = []
    for row in rows:
        genes = row["genome"]["training"]
        kept = math.log(1 - genes["sparsity"])
        weight, channel = (genes["pruning"] == k for k in ("weight", "channel"))
        log_error = math.log(row["validation_curve"][1])
        inputs.append([1, log_error, weight * kept, channel * kept])
    values = np.log([row["validation_error"] for row in rows])
    mean, inverse, freedom, squared = early_stop.posterior(np.array(inputs), values)
    draws = 200_000
    sigma2 = freedom / 2 * squared / rng.gamma(freedom / 2, size=draws)
    beta = mean + np.sqrt(sigma2)[:, None] * rng.multivariate_normal(
        np.zeros(4), inverse, draws
    )
    for error in (0.05, 0.3):
        x = np.array([1, math.log(error), 0, math.log(0.3)])
        final = np.exp(beta @ x + np.sqrt(sigma2) * rng.normal(size=draws))
        assert rung.predict(error) == pytest.approx(np.median(final), rel=0.02)
        assert rung.bound(error) == pytest.approx(np.quantile(final, 0.1), rel=0.02)


def test_what_is_to_be_beaten_is_smaller_than_every_reading():
    genome = _genome("weight", 0.5, channels=12)
    costs = []
    for sparsity in (0.5, *further_sparsities(0.5)):
        genes = dataclasses.replace(genome.training, sparsity=sparsity)
        costs.append(cost_of(dataclasses.replace(genome, training=genes), SETTINGS))
    size = min(cost[_SIZE] for cost in costs)
    memory = min(cost[_MEMORY] for cost in costs)
    assert size < costs[0][_SIZE] and memory < 2048
    rows = [
        _row(0, [0.02] * 2, size=size + 1, memory=memory),
        _row(1, [0.03] * 2, size=size, memory=memory + 1),
        _row(2, [0.4] * 2, size=size, memory=memory),
        _row(3, [0.01] * 2, size=1, memory=1, status="failed"),
        _row(4, [0.01] * 2, size=1, memory=1, status="stopped"),
    ]
    assert early_stop.error_to_beat(rows[:2], SETTINGS, genome) == math.inf
    assert early_stop.error_to_beat(rows, SETTINGS, genome) == 0.4
    # A reading of the first one is small enough.
    figures = {"validation_error": 0.3, _SIZE: size, _MEMORY: memory}
    rows[0] |= {"readings": [figures]}
    assert early_stop.error_to_beat(rows, SETTINGS, genome) == 0.3


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    seed=st.integers(0, 2**20),
    error=st.floats(0.001, 1),
    pruning=st.sampled_from(["weight", "channel", "none"]),
    sparsity=st.floats(0.1, 0.9),
)
def test_a_stopped_trial_is_dominated_even_if_all_goes_well(
    seed, error, pruning, sparsity
):
    rng = np.random.default_rng(seed)
    genome = _genome(pruning, sparsity, channels=int(rng.integers(1, 20)))
    rows = [
        {**row, _SIZE: int(rng.integers(1, 2000)), _MEMORY: int(rng.integers(1, 2000))}
        for row in _rows(rng)
    ]
    table = search.stop_table(rows, SETTINGS, genome, _EPOCHS)
    if table is None:
        return
    assert [rung.epoch for rung in table.rungs] == [2, 4]
    assert pickle.loads(pickle.dumps(table)) == table
    for rung in table.rungs:
        assert rung.bound(error) <= rung.predict(error) <= 1
        predicted = table.verdict(rung.epoch, error)
        if predicted is None:
            continue
        assert predicted == rung.predict(error)
        points = [[r["validation_error"], r[_SIZE], r[_MEMORY]] for r in rows]
        sparsities = [genome.training.sparsity]
        if pruning != "none":
            sparsities += further_sparsities(genome.training.sparsity)
        for asked in sparsities:
            genes = dataclasses.replace(genome.training, sparsity=asked)
            cost = cost_of(dataclasses.replace(genome, training=genes), SETTINGS)
            point = [rung.bound(error), cost[_SIZE], cost[_MEMORY]]
            assert not non_dominated(np.array([*points, point]))[-1]
    assert table.verdict(3, error) is None


def test_hopeless_ones_stop_and_others_do_not():
    rows = _rows(np.random.default_rng(2), 20)
    rows.append(_row(20, [0.1] * _EPOCHS, size=1, memory=1))
    table = search.stop_table(rows, SETTINGS, _genome(), _EPOCHS)
    assert table.to_beat < 0.2
    assert table.verdict(2, 0.8) > table.to_beat
    assert table.verdict(2, table.to_beat) is None


@pytest.mark.parametrize(
    ("change", "genome"),
    [
        (lambda rows: rows[:9], _genome()),
        (lambda rows: [{**r, _SIZE: 10**6} for r in rows], _genome()),
        (lambda rows: [{**r, "validation_curve": [0.5]} for r in rows], _genome()),
        (lambda rows: rows, _genome("bayesian")),
    ],
    ids=["few curves", "nothing smaller", "other lengths", "noisy weights"],
)
def test_nothing_stops_where_nothing_is_known(change, genome):
    rows = _rows(np.random.default_rng(3), 12)
    assert search.stop_table(rows, SETTINGS, _genome(), _EPOCHS) is not None
    assert search.stop_table(change(rows), SETTINGS, genome, _EPOCHS) is None


def _trained(trial, table):
    """A made-up training, which asks the table after every epoch."""
    figures = figures_of(trial.genome)
    seed = int(genomes.genome_id(trial.genome)[:6], 16)
    rng = np.random.default_rng(seed)
    final = figures.pop("validation_error")
    falling = final * np.exp(0.2 * np.arange(_EPOCHS)[::-1])
    curve = list(np.minimum(falling * np.exp(0.02 * rng.normal(size=_EPOCHS)), 1))
    for epoch, error in enumerate(curve[:-1], 1):
        predicted = table and table.verdict(epoch, error)
        if predicted is not None:
            figures |= {"predicted_error": predicted}
            return figures, {"validation_curve": curve[:epoch]}
    return figures | {"validation_error": curve[-1]}, {"validation_curve": curve}


def _search(study, trials):
    while study.num_finished < trials:
        trial = (study.pending() or [None])[0] or study.propose()
        rows = study.records()
        table = search.stop_table(rows, study.settings, trial.genome, _EPOCHS)
        figures, extra = _trained(trial, table)
        if "predicted_error" in figures:
            study.stop(trial.index, "hopeless", figures, extra)
        else:
            study.complete(trial.index, figures, extra)


def _content(study):
    return [{k: v for k, v in r.items() if k != "elapsed"} for r in study.records()]


@pytest.mark.filterwarnings("ignore::Warning")
def test_a_search_that_was_interrupted_stops_the_same_trials(tmp_path):
    settings = dataclasses.replace(SETTINGS, algorithm="random", limits=())
    with search.create(tmp_path / "whole", settings, CONFIG) as study:
        _search(study, 40)
        expected = _content(study)
    with search.create(tmp_path / "parts", settings, CONFIG) as study:
        _search(study, 30)
        study.propose()
    with search.load(tmp_path / "parts") as study:
        _search(study, 40)
        assert _content(study) == expected
    stopped = [row for row in expected if row["status"] == "stopped"]
    assert len(stopped) >= 3 and any(row["index"] > 30 for row in stopped)
