import dataclasses

import numpy as np
import pytest

from spjax import genomes
from spjax.search import pareto
from spjax.search.algorithms import algorithm
from spjax.search.baselines import _by_rank_and_crowding
from spjax.search.candidates import cross
from spjax.search.drawing import cost_of, fits
from spjax.search.errors import SearchError
from spjax.search.observation import Observation
from spjax.search.settings import ALGORITHMS, Settings
from tests.search.synthetic import synthetic_error

_SETTINGS = Settings(
    input_shape=(16, 16, 1),
    num_classes=10,
    limits=(("planned_arena", 2048), ("model_size_nonzero", 8192)),
    population=8,
    initial_trials=8,
    candidates=16,
)
_NAMES = tuple(n for n in ALGORITHMS if n not in ("morphs", "qlognehvi"))


def _observe(settings, proposal, index, status="completed"):
    cost = cost_of(proposal.genome, settings)
    figures = {name: cost[name] for name in settings.objectives[1:]}
    figures["validation_error"] = synthetic_error(proposal.genome, cost)
    figures = figures if status == "completed" else {}
    return Observation(index, proposal.genome, status, figures)


def _search(settings, count):
    observations, proposals = [], []
    for index in range(count):
        proposals.append(algorithm(settings.algorithm)(settings, observations, index))
        observations.append(_observe(settings, proposals[-1], index))
    return observations, proposals


@pytest.mark.parametrize("name", _NAMES)
def test_proposals_are_new_valid_within_the_limits_and_repeat(name):
    settings = dataclasses.replace(_SETTINGS, algorithm=name)
    observations, proposals = _search(settings, 20)
    assert len({p.genome for p in proposals}) == 20
    for proposal in proposals:
        genomes.validate(proposal.genome, settings.input_shape)
        genomes.check_within(proposal.genome, settings.bounds)
        assert proposal.genome == genomes.canonical(proposal.genome)
        assert fits(cost_of(proposal.genome, settings), settings.limit_of)
    again = algorithm(name)(settings, observations[:15], 15)
    assert again == proposals[15]
    other = dataclasses.replace(settings, seed=1)
    assert algorithm(name)(other, observations[:15], 15) != again


@pytest.mark.parametrize("name", ["ageing_evolution", "nsga2"])
def test_children_come_after_a_random_population(name):
    settings = dataclasses.replace(_SETTINGS, algorithm=name)
    _, proposals = _search(settings, 24)
    assert all(p.edit == "random" for p in proposals[:8])
    assert all(p.parent is not None and p.parent < i
               for i, p in enumerate(proposals) if i >= 8)  # fmt: skip


def test_random_never_looks_at_results():
    settings = dataclasses.replace(_SETTINGS, algorithm="random")
    observations, proposals = _search(settings, 12)
    worse = [
        dataclasses.replace(o, figures={**o.figures, "validation_error": 0.9})
        for o in observations
    ]
    assert algorithm("random")(settings, worse[:11], 11) == proposals[11]


def test_ageing_forgets_what_is_older_than_its_population():
    settings = dataclasses.replace(_SETTINGS, algorithm="ageing_evolution")
    observations, _ = _search(settings, 30)
    # Even the best trial of all is no parent once it is old.
    best = {**observations[0].figures, "validation_error": 0.0}
    observations[0] = dataclasses.replace(observations[0], figures=best)
    parents = {
        algorithm("ageing_evolution")(
            dataclasses.replace(settings, seed=seed), observations, 30
        ).parent
        for seed in range(40)
    }
    assert parents <= set(range(22, 30)) and len(parents) > 2


def test_ageing_aims_below_the_error_that_is_asked_for():
    settings = dataclasses.replace(_SETTINGS, algorithm="ageing_evolution")
    observations, _ = _search(settings, 8)
    for index, observation in enumerate(observations):
        # The smaller, the worse.
        figures = {"model_size_nonzero": 10 + 1000 * index, "planned_arena": 100}
        figures["validation_error"] = 0.5 - 0.05 * index
        observations[index] = dataclasses.replace(observation, figures=figures)

    def parents(**changes):
        return {
            algorithm("ageing_evolution")(
                dataclasses.replace(settings, seed=seed, **changes), observations, 8
            ).parent
            for seed in range(60)
        }

    # Two are drawn: of any two the better one, so never the worst.
    assert 0 in parents() and 0 not in parents(error_bound=1e-5)


def test_nsga2_prefers_the_front_and_its_ends():
    values = np.array(
        [[5, 5, 5], [1, 9, 9], [9, 1, 9], [9, 9, 1], [4, 4, 4], [4.1, 4.1, 4.1]], float
    )
    order = _by_rank_and_crowding(values)
    front = set(np.flatnonzero(pareto.non_dominated(values)))
    assert set(order[: len(front)]) == front == {1, 2, 3, 4}
    # The ends have infinite distance, the middle has not.
    assert order[3] == 4 and order[4:] == [5, 0]


def test_crossed_genomes_take_every_gene_from_either_parent():
    rng = np.random.default_rng(0)
    shape, bounds = _SETTINGS.input_shape, _SETTINGS.bounds
    crossed = 0
    for _ in range(30):
        pair = [genomes.random_genome(rng, shape, bounds) for _ in range(2)]
        child = cross(rng, _SETTINGS, *pair)
        if child is None:
            continue
        crossed += 1
        rate = child.training.learning_rate
        assert rate in {g.training.learning_rate for g in pair}
        assert len(child.blocks) in {len(g.blocks) for g in pair}
    assert crossed > 10


def test_failed_and_running_trials_are_no_parents():
    for name in ("ageing_evolution", "nsga2"):
        settings = dataclasses.replace(_SETTINGS, algorithm=name)
        observations, _ = _search(settings, 16)
        spoilt = [
            o if o.index % 4 else dataclasses.replace(o, status="failed", figures={})
            for o in observations
        ]
        for seed in range(12):
            chosen = algorithm(name)(
                dataclasses.replace(settings, seed=seed), spoilt, 16
            )
            assert chosen.parent % 4


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(SearchError, match="algorithm = 'best' is unknown: use one of"):
        Settings(input_shape=(8, 8, 1), num_classes=2, algorithm="best")
