import dataclasses

import numpy as np
import pytest

from spjax import genomes
from spjax.search import sparse as module
from spjax.search import surrogates
from spjax.search.drawing import cost_of, fits
from spjax.search.observation import Observation
from spjax.search.settings import Settings
from spjax.search.sparse import sparse
from tests.search.synthetic import synthetic_error

_SETTINGS = Settings(
    input_shape=(16, 16, 1),
    num_classes=10,
    limits=(("planned_arena", 2048), ("model_size_nonzero", 8192)),
    initial_trials=8,
    candidates=24,
    algorithm="sparse",
)


@pytest.fixture(scope="module")
def searched():
    observations, proposals = [], []
    for index in range(18):
        proposals.append(sparse(_SETTINGS, observations, index))
        genome = proposals[-1].genome
        cost = cost_of(genome, _SETTINGS)
        figures = {name: cost[name] for name in _SETTINGS.objectives[1:]}
        figures["validation_error"] = synthetic_error(genome, cost)
        observations.append(Observation(index, genome, "completed", figures))
    return observations, proposals


def test_proposals_are_new_within_the_limits_and_random_or_one_edit_away(searched):
    observations, proposals = searched
    assert len({p.genome for p in proposals}) == len(proposals)
    assert all(p.edit == "random" for p in proposals[:8])
    for p in proposals:
        assert fits(cost_of(p.genome, _SETTINGS), _SETTINGS.limit_of)
        assert p.edit in ("random", *genomes.MORPHS)
        assert (p.parent is None) == (p.edit == "random")
    assert any(p.parent is not None for p in proposals)
    assert sparse(_SETTINGS, observations[:15], 15) == proposals[15]


def test_each_objective_has_a_process_that_knows_what_was_seen(searched):
    observations, _ = searched
    processes = module._processes(_SETTINGS, observations)
    inputs = np.stack([genomes.embedding(o.genome) for o in observations])
    for process, name in zip(processes, _SETTINGS.objectives, strict=True):
        truth = np.log([o.figures[name] for o in observations])
        mean, _ = surrogates.predict(process, inputs)
        assert np.corrcoef(mean, truth)[0, 1] > 0.8


def test_failed_trials_teach_the_error_alone_and_running_ones_are_believed(searched):
    observations = list(searched[0])
    observations[3] = dataclasses.replace(observations[3], status="failed", figures={})
    new = genomes.embedding(observations[3].genome)[None]
    plain = module._processes(_SETTINGS, observations)
    assert surrogates.predict(plain[0], new)[0][0] > np.log(0.3)
    # Its size and memory are not among the figures: the processes are unsure of them.
    twin = Observation(90, observations[3].genome, "running")
    aware = module._processes(_SETTINGS, [*observations, twin])
    for k in (1, 2):
        before = surrogates.predict(plain[k], new)[1][0, 0]
        assert surrogates.predict(aware[k], new)[1][0, 0] < 0.8 * before


def test_without_results_proposals_stay_random(searched):
    failed = [Observation(o.index, o.genome, "failed") for o in searched[0]]
    assert sparse(_SETTINGS, failed, 18).edit == "random"
