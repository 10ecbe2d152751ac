import dataclasses

import numpy as np
import pytest

from spjax import genomes
from spjax.search import stages
from spjax.search.algorithms import algorithm
from spjax.search.drawing import cost_of
from spjax.search.errors import SearchError
from spjax.search.observation import Observation
from spjax.search.settings import Settings
from tests.search.synthetic import synthetic_error

_SETTINGS = Settings(
    input_shape=(16, 16, 1),
    num_classes=10,
    limits=(("planned_arena", 2048), ("model_size_nonzero", 8192)),
    initial_trials=6,
    candidates=12,
    stage_starts=(20, 30),
)


@pytest.fixture(scope="module")
def trials():
    draw, seen = algorithm("random"), []
    for index in range(20):
        genome = draw(_SETTINGS, seen, index).genome
        cost = cost_of(genome, _SETTINGS)
        figures = {name: cost[name] for name in _SETTINGS.objectives[1:]}
        figures["validation_error"] = synthetic_error(genome, cost)
        seen.append(Observation(index, genome, "completed", figures))
    return seen


def test_shares_of_the_trials_say_where_the_stages_begin():
    assert stages.starts((0.6, 0.2, 0.2), 100) == (60, 80)
    assert stages.starts((1, 0, 0), 40) == (40, 40)
    assert stages.starts((0, 0, 1), 40) == (0, 0)
    found = [stages.stage_of(_SETTINGS, i) for i in (0, 19, 20, 29, 30, 500)]
    assert found == [1, 1, 2, 2, 3, 3]
    plain = dataclasses.replace(_SETTINGS, stage_starts=None)
    assert stages.stage_of(plain, 500) == 1


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.2, -0.2, 0.0)])
def test_other_shares_are_refused_with_an_example(shares):
    with pytest.raises(SearchError, match="three shares .* for example 0.6,0.2,0.2"):
        stages.starts(shares, 100)


@pytest.mark.parametrize("name", ["morphs", "sparse"])
def test_the_second_stage_touches_the_pruning_of_trained_networks_only(trials, name):
    for seed in range(4):
        settings = dataclasses.replace(_SETTINGS, seed=seed)
        found = algorithm(name)(settings, trials, 20)
        assert set(found.edit.split("+")) <= set(genomes.PRUNING_MORPHS)
        parent = trials[found.parent].genome
        genes = dataclasses.replace(
            parent.training,
            pruning=found.genome.training.pruning,
            sparsity=found.genome.training.sparsity,
        )
        assert found.genome == dataclasses.replace(parent, training=genes)


@pytest.mark.parametrize("name", ["morphs", "sparse"])
def test_the_third_stage_takes_references_from_the_front(trials, name):
    values = np.array([[t.figures[n] for n in _SETTINGS.objectives] for t in trials])
    front = {
        i
        for i, mine in enumerate(values)
        if not any((other <= mine).all() and (other < mine).any() for other in values)
    }
    assert front != set(range(len(trials)))
    parents = set()
    for seed in range(8):
        settings = dataclasses.replace(_SETTINGS, seed=seed)
        parents.add(algorithm(name)(settings, trials, 30).parent)
    parents.discard(None)
    assert parents and parents <= front


def test_a_space_without_pruning_leaves_the_second_stage_random(trials):
    bounds = genomes.Bounds(pruning=("none",), sparsity=(0.0, 0.5))
    settings = dataclasses.replace(_SETTINGS, bounds=bounds)
    dense = [
        dataclasses.replace(
            t,
            genome=genomes.canonical(
                dataclasses.replace(
                    t.genome, training=genomes.Training(1e-3, "none", 0.0)
                )
            ),
        )
        for t in trials[:8]
    ]
    assert algorithm("sparse")(settings, dense, 20).edit == "random"
