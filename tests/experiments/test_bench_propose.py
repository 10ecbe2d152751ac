import dataclasses

import numpy as np
import pytest
from absl import flags

from experiments import bench_propose
from spjax import search
from spjax.search.drawing import cost_of

_SETTINGS = search.Settings(
    input_shape=(12, 12, 1),
    num_classes=10,
    limits=(("planned_arena", 2048), ("model_size_nonzero", 8192)),
    candidates=8,
)


@pytest.fixture(scope="module")
def trials():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["bench_propose"])
    return bench_propose.observe(_SETTINGS, 12)


def test_the_trials_are_distinct_with_their_exact_costs(trials):
    assert len({t.genome for t in trials}) == 12
    for trial in trials:
        cost = cost_of(trial.genome, _SETTINGS)
        assert all(trial.figures[n] == cost[n] for n in _SETTINGS.objectives[1:])
        assert 0 < trial.figures["validation_error"] <= 0.9


@pytest.mark.parametrize("name", ["morphs", "nsga2"])
def test_every_proposal_is_timed_with_one_more_trial_before_it(
    trials, name, monkeypatch
):
    seen = []
    settings = dataclasses.replace(_SETTINGS, algorithm=name, population=4)
    inner = bench_propose._proposer

    def proposer(settings, trials):
        status = [t.status for t in trials]
        seen.append((status.count("completed"), status.count("running")))
        return inner(settings, trials)

    monkeypatch.setattr(bench_propose, "_proposer", proposer)
    seconds = bench_propose.time_proposals(settings, trials, 8, 2, 2)
    assert len(seconds) == 2 and np.min(seconds) > 0
    assert seen == [(7, 2), (8, 2), (9, 2)]
