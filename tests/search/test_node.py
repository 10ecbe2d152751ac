import dataclasses

import pytest

from spjax import genomes, search
from spjax.search import storage
from spjax.search.drawing import cost_of, fits
from tests.search.study_tasks import SETTINGS, figures_of

pytest.importorskip("ax")

from spjax.search import node  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::Warning")


@pytest.fixture
def fresh():
    return storage.new_experiment(SETTINGS)


def _start(experiment, run):
    trial = experiment.new_trial(generator_run=run)
    return trial.mark_running(no_runner_required=True)


def test_the_space_holds_every_genome_of_the_bounds(fresh):
    experiment, strategy = fresh
    space = experiment.search_space
    assert len(space.parameters) == len(genomes.flat_space())
    for _ in range(3):
        [[run]] = strategy.gen(experiment=experiment, n=1, num_trials=1)
        assert space.check_membership(run.arms[0].parameters, raise_error=True)
        _start(experiment, run)


def test_a_gene_with_one_value_is_a_fixed_parameter():
    bounds = genomes.Bounds(
        num_blocks=(1, 1), num_convs=(1, 1), num_dense=(0, 0), stride=(1, 1),
        batch_norm=(True,), pruning=("weight",), sparsity=(0.5, 0.5),
    )  # fmt: skip
    settings = dataclasses.replace(SETTINGS, bounds=bounds)
    experiment, strategy = storage.new_experiment(settings)
    [[run]] = strategy.gen(experiment=experiment, n=1, num_trials=1)
    genome = genomes.from_flat(run.arms[0].parameters)
    assert genome.training.sparsity == 0.5 and genome.blocks[0].convs[0].batch_norm


def test_several_genomes_at_once_are_new_and_within_the_limits(fresh):
    # As an Ax user asks for them, without a study.
    experiment, strategy = fresh
    runs = [run for [run] in strategy.gen(experiment=experiment, n=1, num_trials=3)]
    drawn = [genomes.from_flat(run.arms[0].parameters) for run in runs]
    assert len(set(drawn)) == 3
    assert all(fits(cost_of(g, SETTINGS), SETTINGS.limit_of) for g in drawn)
    proposals = [strategy.current_node.proposal_for(g) for g in drawn]
    assert [p.genome for p in proposals] == drawn
    for run in runs:
        _start(experiment, run)
    [[run]] = strategy.gen(experiment=experiment, n=1, num_trials=1)
    assert genomes.from_flat(run.arms[0].parameters) not in drawn


def test_trials_as_the_proposals_see_them(fresh):
    experiment, strategy = fresh
    for index in range(6):
        [[run]] = strategy.gen(experiment=experiment, n=1, num_trials=1)
        trial = _start(experiment, run)
        genome = genomes.from_flat(run.arms[0].parameters)
        figures = figures_of(genome)
        if index == 0:
            storage.attach_figures(experiment, trial, figures)
            trial.mark_completed()
        elif index == 1:
            trial.mark_failed()
        elif index == 2:  # Completed by somebody else, without all figures.
            partial = {"validation_error": 0.5}
            storage.attach_figures(experiment, trial, partial)
            trial.mark_completed()
        elif index == 3:
            trial.update_run_metadata({"figures": {"predicted_error": 0.6, "macs": 7}})
            trial.mark_early_stopped(unsafe=True)
        elif index == 4:  # Stopped by somebody else, without a prediction.
            trial.mark_early_stopped(unsafe=True)
    seen = node.observations(experiment, experiment.lookup_data(), SETTINGS)
    assert [o.index for o in seen] == [0, 1, 2, 3, 4, 5]
    statuses = ["completed", "failed", "failed", "stopped", "failed", "running"]
    assert [o.status for o in seen] == statuses
    expected = figures_of(seen[0].genome)
    assert seen[0].figures == {name: expected[name] for name in seen[0].figures}
    assert set(SETTINGS.objectives) <= set(seen[0].figures)
    assert seen[3].figures == {"predicted_error": 0.6}
    assert all(not o.figures for o in seen[1:] if o.index != 3)


def test_impossible_limits_reach_the_caller_and_are_not_replaced_by_other_points():
    limits = (("planned_arena", 2),)
    experiment, strategy = storage.new_experiment(
        dataclasses.replace(SETTINGS, limits=limits)
    )
    with pytest.raises(search.InfeasibleError, match="planned_arena <= 2"):
        strategy.gen(experiment=experiment, n=1, num_trials=1)
