"""Groups of trials: how they are drawn, found again, run, lost and ended."""

import dataclasses

import numpy as np
import pytest

from spjax import genomes, search
from spjax.search import groups
from spjax.search.drawing import cost_of
from spjax.search.errors import SearchError
from tests.search import study_tasks
from tests.search.study_tasks import CONFIG

# Limits that most genes of training keep: groups are full.
_ROOMY = (("planned_arena", 65536), ("model_size_nonzero", 262144))
MORPHS = dataclasses.replace(
    study_tasks.SETTINGS, together=4, initial_trials=4, limits=_ROOMY
)
SETTINGS = dataclasses.replace(MORPHS, algorithm="random")


def _plain(genome):
    return dataclasses.replace(genome, training=genomes.Training())


@pytest.fixture(scope="module")
def genome():
    return search.draw_feasible(np.random.default_rng(3), SETTINGS, set())


def test_siblings_differ_in_training_genes_within_bounds_and_limits(genome):
    draw = lambda seed, *taken: groups.draw_siblings(  # noqa: E731
        np.random.default_rng(seed), SETTINGS, genome, 12, set(taken)
    )
    found = draw(0)
    assert len({*found, genome}) == 13
    for one in found:
        assert _plain(one) == _plain(genome) and one == genomes.canonical(one)
        genomes.check_within(one, SETTINGS.bounds)
        cost = cost_of(one, SETTINGS)
        assert all(cost[name] <= limit for name, limit in SETTINGS.limits)
    genes = [one.training for one in found]
    assert len({g.learning_rate for g in genes}) == 12
    assert {g.pruning for g in genes} == {"none", "weight", "channel"}
    assert draw(0) == found and draw(1) != found
    assert not {*draw(0, *found)} & {*found}


def test_a_space_with_noise_and_limits_that_few_genes_keep(genome):
    rng = np.random.default_rng(0)
    bounds = genomes.Bounds(pruning=("weight", "variational"), sparsity=(0.1, 0.98))
    mixed = dataclasses.replace(SETTINGS, bounds=bounds)
    found = groups.draw_siblings(rng, mixed, genome, 6, set())
    assert {one.training.pruning for one in found} == {"weight"}
    noisy = dataclasses.replace(
        genome, training=genomes.Training(0.01, "variational", 0.5)
    )
    assert groups.draw_siblings(rng, mixed, noisy, 6, set()) == []
    # Only what removes most weights fits, and hardly anything does.
    dense = cost_of(_plain(genome), SETTINGS)["model_size_dense"]
    for share, most in ((0.1, 12), (0.001, 0)):
        size = max(1, int(share * dense))
        tight = dataclasses.replace(SETTINGS, limits=(("model_size_nonzero", size),))
        few = groups.draw_siblings(rng, tight, genome, 12, set())
        assert len(few) <= most
        assert all(one.training.sparsity > 0.6 for one in few)


def _run(study, pool, trials, **options):
    specify = study_tasks.specify_numbered(**options)
    tasks = study_tasks.evaluate_one, specify, trials
    group_task = study_tasks.evaluate_group
    return list(search.run(study, pool, *tasks, group_task=group_task))


@pytest.fixture(scope="module")
def pool():
    with search.WorkerPool(2) as pool:
        yield pool


def test_a_search_in_groups_runs_exactly_so_many_trials(tmp_path, pool):
    with search.create(tmp_path, SETTINGS, CONFIG) as study:
        events = _run(study, pool, 11)
        rows = study.records()
    assert [row["index"] for row in rows] == list(range(11))
    assert all(row["status"] == "completed" for row in rows)
    assert len({row["genome_id"] for row in rows}) == 11
    # Groups of 4, 4 and 3, each of one architecture and with one parent.
    for start in (0, 4, 8):
        group = rows[start : start + 4]
        shapes = [{**row["genome"], "training": None} for row in group]
        assert all(shape == shapes[0] for shape in shapes)
        assert len({row["parent"] for row in group}) == 1
        first, *others = (row["edit"] for row in group)
        assert others == [f"{first}+training"] * len(others)
    for row in rows:
        kinds = [e.kind for e in events if e.index == row["index"]]
        assert kinds == ["started", "progress", "completed"]
        own = [e for e in events if e.index == row["index"]]
        assert own[-1].row == row and own[1].content == {"epoch": 1}


def test_mishaps_cost_a_group_s_other_trials_nothing(tmp_path, pool):
    fates = {1: "raise", 2: "diverge", 6: "die", 9: "group", 12: "stop"}
    with search.create(tmp_path, SETTINGS, CONFIG) as study:
        events = _run(study, pool, 13, fates=fates)
        rows = study.records()
    failed = [row["index"] for row in rows if row["status"] == "failed"]
    # What only the group could not bear (9), each trial alone could.
    assert failed == [1, 2, 6] and rows[12]["status"] == "stopped"
    assert [row["status"] for row in rows].count("completed") == 9
    assert rows[1]["reason"] == "ValueError: an odd genome"
    assert "diverged" in rows[2]["reason"]
    assert "exit code 7, 2 times" in rows[6]["reason"]
    lost = {e.index: e.content for e in events if e.kind == "lost"}
    # Of the group of 4 to 7, two had ended when the worker died.
    assert set(lost) == {6, 7, 8, 9, 10, 11}
    assert "exit code 7" in lost[7] and "too many at once" in lost[8]


def test_a_full_disk_leaves_what_was_not_told_of_under_way(tmp_path, pool):
    while pool.running:
        pool.poll(1.0)
    with (
        search.create(tmp_path, SETTINGS, CONFIG) as study,
        pytest.raises(SearchError, match="could not be run: .*No space"),
    ):
        _run(study, pool, 4, fates={2: "full"})
    while pool.running:
        pool.poll(1.0)
    with search.load(tmp_path, SETTINGS, CONFIG) as study:
        before = study.records()
        assert [row["status"] for row in before] == [
            "completed", "completed", "running", "running",
        ]  # fmt: skip
        events = _run(study, pool, 4)
        assert study.records()[:2] == before[:2]
        assert all(row["status"] == "completed" for row in study.records())
    assert {e.index for e in events} - {None} == {2, 3}


def test_interrupted_and_resumed_it_is_the_search_it_would_have_been(tmp_path):
    def rows(study):
        kept = ("genome_id", "parent", "edit", "validation_error")
        return [{k: row[k] for k in kept} for row in study.records()]

    specify = study_tasks.specify_numbered()
    tasks = study_tasks.evaluate_one, specify, 10
    with search.WorkerPool(1) as pool:
        with search.create(tmp_path / "whole", MORPHS, CONFIG) as study:
            _run(study, pool, 10)
            whole = rows(study)
        with search.create(tmp_path / "cut", MORPHS, CONFIG) as study:
            group_task = study_tasks.evaluate_group
            for event in search.run(study, pool, *tasks, group_task=group_task):
                if event.kind == "completed" and event.index == 5:
                    break
            assert study.num_finished == 6 and study.num_trials == 10
            while pool.running:
                pool.poll(1.0)
        with search.load(tmp_path / "cut", MORPHS, CONFIG) as study:
            # In the middle of one group, with another one waiting.
            sizes = [len(g) for g in groups.regroup(study.pending(), 4)]
            assert sizes == [2, 2]
            _run(study, pool, 10)
            assert rows(study) == whole


def test_a_morph_and_its_siblings_have_the_same_parent(tmp_path):
    with search.create(tmp_path, MORPHS, CONFIG) as study:
        study_tasks.advance(study, 6)
        for _ in range(6):
            group = groups.begin_group(study, 3)
            assert len(group) == 3
            assert [t.index for t in group] == list(
                range(group[0].index, group[0].index + 3)
            )
            assert len({t.parent for t in group}) == 1
            if group[0].parent is not None:
                break
        assert group[0].parent is not None
        assert study.pending()[-3:] == group
        assert len(groups.begin_group(study, 1)) == 1


def test_groups_are_found_again(genome):
    def trial(index, genome, parent=None):
        return search.Trial(index, genome, parent, "random")

    genes = [genomes.Training(0.01, "weight", s) for s in (0.1, 0.2, 0.3, 0.4, 0.5)]
    same = [dataclasses.replace(genome, training=g) for g in genes]
    noisy = dataclasses.replace(
        genome, training=genomes.Training(0.01, "bayesian", 0.5)
    )
    other = dataclasses.replace(genome, dense=(99,))
    trials = [trial(i, g) for i, g in enumerate([*same, noisy, other])]
    trials.append(trial(7, other, parent=2))
    cut = lambda most: [[t.index for t in g] for g in groups.regroup(trials, most)]  # noqa: E731
    assert cut(4) == [[0, 1, 2, 3], [4], [5], [6], [7]]
    assert cut(9) == [[0, 1, 2, 3, 4], [5], [6], [7]]
    assert cut(1) == [[i] for i in range(8)]


def test_a_search_in_groups_needs_a_task_for_them(tmp_path, pool):
    with search.create(tmp_path, SETTINGS, CONFIG) as study:
        specify = study_tasks.specify_numbered()
        with pytest.raises(SearchError, match="together = 4 needs a task"):
            list(search.run(study, pool, study_tasks.evaluate_one, specify, 4))
    with pytest.raises(SearchError, match="together = 0 must be at least 1"):
        dataclasses.replace(SETTINGS, together=0)
