import dataclasses

import numpy as np
import pytest

from spjax import genomes
from spjax.search import error_model, pareto
from spjax.search.algorithms import algorithm
from spjax.search.drawing import cost_of, draw_feasible, fits
from spjax.search.early_stop import PREDICTED
from spjax.search.effort import training_macs
from spjax.search.errors import InfeasibleError
from spjax.search.observation import Observation, all_points
from spjax.search.proposals import _front, propose
from spjax.search.settings import Settings
from tests.search.synthetic import synthetic_error

_SETTINGS = Settings(
    input_shape=(16, 16, 1),
    num_classes=10,
    limits=(("planned_arena", 2048), ("model_size_nonzero", 8192)),
    initial_trials=6,
    candidates=40,
)


def _observe(settings, proposal, index):
    cost = cost_of(proposal.genome, settings)
    figures = {name: cost[name] for name in settings.objectives[1:]}
    figures["validation_error"] = synthetic_error(proposal.genome, cost)
    return Observation(index, proposal.genome, "completed", figures)


def _search(settings, count):
    observations, proposals = [], []
    for index in range(count):
        proposals.append(propose(settings, observations, index))
        observations.append(_observe(settings, proposals[-1], index))
    return observations, proposals


@pytest.fixture(scope="module")
def searched():
    return _search(_SETTINGS, 26)


def test_proposals_are_new_valid_and_within_the_limits(searched):
    _, proposals = searched
    names = [genomes.genome_id(p.genome) for p in proposals]
    assert len(set(names)) == len(names)
    for proposal in proposals:
        genomes.validate(proposal.genome, _SETTINGS.input_shape)
        genomes.check_within(proposal.genome, _SETTINGS.bounds)
        assert proposal.genome == genomes.canonical(proposal.genome)
        cost = cost_of(proposal.genome, _SETTINGS)
        assert fits(cost, _SETTINGS.limit_of)


def test_random_genomes_come_first_then_morphs_of_earlier_trials(searched):
    _, proposals = searched
    assert all(p.edit == "random" and p.parent is None for p in proposals[:6])
    morphs = [(i, p) for i, p in enumerate(proposals) if p.parent is not None]
    assert len(morphs) > 12
    for index, proposal in morphs:
        assert proposal.parent < index
        assert set(proposal.edit.split("+")) <= {*genomes.MORPHS, "cross"}


def test_first_networks_are_not_much_larger_in_training_than_on_the_board():
    narrow = (("input_output", 1960), ("model_size_nonzero", 2770))
    settings = dataclasses.replace(
        _SETTINGS,
        input_shape=(28, 28, 1),
        memory_model="input_output",
        limits=narrow,
        initial_trials=40,
    )
    first = [propose(settings, [], index).genome for index in range(40)]
    deployed = [cost_of(genome, settings)["macs"] for genome in first]
    ratios = [
        training_macs(g, settings) / m for g, m in zip(first, deployed, strict=True)
    ]
    assert max(ratios) <= 10
    assert max(ratios) > 2  # Some are pruned by channels all the same.
    # Every other one is the largest of many draws.
    assert np.median(deployed[1::2]) > 2 * np.median(deployed[::2])
    rng = np.random.default_rng(0)
    drawn = [draw_feasible(rng, settings, set()) for _ in range(40)]
    plain = [training_macs(g, settings) / cost_of(g, settings)["macs"] for g in drawn]
    assert max(plain) > 10


def test_one_edit_of_the_training_genes_leaves_the_architecture_alone(searched):
    # With one candidate there is nothing to choose, and few trials make it fast.
    observations = searched[0][:8]
    settings = dataclasses.replace(_SETTINGS, candidates=1, random_share=0.0)
    proposals = [propose(settings, observations, 100 + i) for i in range(40)]
    single = [
        p for p in proposals if p.edit in ("sparsity", "pruning", "learning_rate")
    ]
    assert single
    for proposal in single:
        parent = observations[proposal.parent].genome
        assert dataclasses.replace(proposal.genome, training=parent.training) == parent


def test_a_proposal_repeats_exactly_and_depends_on_the_seed(searched):
    observations, proposals = searched
    assert propose(_SETTINGS, observations[:20], 20) == proposals[20]
    other = dataclasses.replace(_SETTINGS, seed=1)
    assert propose(other, observations[:20], 20) != proposals[20]


def test_the_search_beats_random_draws():
    # The search aims at errors of use, not at the smallest networks of all.
    reference = np.array([0.25, np.log(8192), np.log(2048)])
    volumes = {}
    # A single first genome: all others of the second search are plain draws.
    for share, first in ((0.1, _SETTINGS.initial_trials), (1.0, 1)):
        volumes[share] = []
        for seed in range(2):
            settings = dataclasses.replace(
                _SETTINGS,
                random_share=share,
                initial_trials=first,
                seed=seed,
                candidates=24,
            )
            observations, _ = _search(settings, 24)
            values = np.array(
                [[o.figures[n] for n in settings.objectives] for o in observations]
            )
            values[:, 1:] = np.log(values[:, 1:])
            volumes[share].append(pareto.hypervolume(values, reference))
    assert np.mean(volumes[0.1]) > 1.05 * np.mean(volumes[1.0])


def test_trials_under_way_are_not_proposed_again(searched):
    observations, proposals = searched
    running = Observation(20, proposals[20].genome, "running")
    again = propose(_SETTINGS, [*observations[:20], running], 20)
    assert again.genome != running.genome


def test_proposals_for_several_workers_keep_apart(searched):
    # A twin of what would be chosen is under way: there is little left to gain there.
    # The candidates are the same, so that without the twin's belief so is the choice.
    ended, other = searched[0][:20], 0
    for index in range(60, 64):
        first = propose(_SETTINGS, ended, index).genome
        rate = first.training.learning_rate * 1.02
        genes = dataclasses.replace(first.training, learning_rate=rate)
        twin = genomes.canonical(dataclasses.replace(first, training=genes))
        assert twin != first
        running = Observation(index - 1, twin, "running")
        other += propose(_SETTINGS, [*ended, running], index).genome != first
    assert other >= 3


def test_the_front_counts_what_is_under_way(searched):
    # A running copy of the best candidate's neighbourhood makes it worth less.
    ended, settings = searched[0][:20], _SETTINGS
    first = propose(settings, ended, 60)
    running = Observation(60, first.genome, "running")
    model = error_model.fit(settings, [*ended, running])
    assert len(model.believed) == 1
    points = _front(settings, [*ended, running], model)
    cost = cost_of(first.genome, settings)
    expected = [model.believed[0], *(cost[n] for n in settings.objectives[1:])]
    np.testing.assert_allclose(points[-1], expected)
    np.testing.assert_array_equal(points[:-1], all_points(settings, ended))


def test_readings_move_the_front_that_is_to_be_beaten(searched):
    ended = searched[0][:20]
    best = {"validation_error": 1e-3, "model_size_nonzero": 1, "planned_arena": 1}
    read = [dataclasses.replace(ended[0], readings=(best,)), *ended[1:]]
    changed = [propose(_SETTINGS, read, 60 + i) for i in range(3)]
    plain = [propose(_SETTINGS, ended, 60 + i) for i in range(3)]
    # Nothing is left to gain: the choice is another one.
    assert changed != plain


def test_a_preference_leads_to_its_end_of_the_front(searched):
    ended, found = searched[0], {}
    for prefer in ("error", "memory"):
        settings = dataclasses.replace(_SETTINGS, prefer=prefer)
        drawn = [propose(settings, ended, 40 + i).genome for i in range(6)]
        found[prefer] = [cost_of(g, settings)["planned_arena"] for g in drawn]
    assert np.mean(found["memory"]) < 0.7 * np.mean(found["error"])


def test_a_stopped_trial_is_no_parent(searched):
    ended = searched[0][:20]
    stopped = [
        Observation(o.index, o.genome, "stopped", {PREDICTED: 0.02})
        if o.index % 3
        else o
        for o in ended
    ]
    for name in ("morphs", "sparse"):
        for i in range(4):
            parent = algorithm(name)(_SETTINGS, stopped, 40 + i).parent
            assert parent is None or parent % 3 == 0


def test_failed_trials_are_learnt_from(searched):
    # Let the trainings fail that were fast learners: proposals turn to slow ones.
    observations, _ = searched
    rates = [o.genome.training.learning_rate for o in observations]
    middle = np.median(rates)
    spoilt = [
        Observation(o.index, o.genome, "failed") if rate > middle else o
        for o, rate in zip(observations, rates, strict=True)
    ]
    settings = dataclasses.replace(_SETTINGS, random_share=0.0)
    later = [propose(settings, spoilt, 100 + i) for i in range(12)]
    slow = [p.genome.training.learning_rate <= middle for p in later]
    assert np.mean(slow) > 0.7


def test_without_a_good_trial_proposals_stay_random(searched):
    observations, _ = searched
    failed = [Observation(o.index, o.genome, "failed") for o in observations[:8]]
    assert propose(_SETTINGS, failed, 8).edit == "random"
    # A trial that turned out larger than its sparsity promised is no reference.
    over = [
        dataclasses.replace(o, figures={**o.figures, "model_size_nonzero": 9000})
        for o in observations[:8]
    ]
    assert propose(_SETTINGS, over, 8).edit == "random"


def test_limits_that_nothing_meets_are_an_error():
    settings = dataclasses.replace(_SETTINGS, limits=(("planned_arena", 2),))
    with pytest.raises(InfeasibleError, match="planned_arena <= 2"):
        propose(settings, [], 0)
