import os
import subprocess
import sys

import pytest

from spjax import search
from spjax.search.errors import SearchError
from tests.search import study_tasks
from tests.search.study_tasks import CONFIG, SETTINGS


@pytest.fixture(scope="module")
def pool():
    with search.WorkerPool(2) as pool:
        yield pool


def _run(study, pool, trials, **options):
    specify = study_tasks.specify(**options)
    return list(search.run(study, pool, study_tasks.evaluate, specify, trials))


def test_a_search_with_failures_of_every_kind(tmp_path, pool):
    fates = {1: "raise", 3: "die", 4: "diverge"}
    with search.create(tmp_path, SETTINGS, CONFIG) as study:
        events = _run(study, pool, 9, fates=fates)
        records = study.records()
    by_trial = {i: [e for e in events if e.index == i] for i in range(9)}
    for index, story in by_trial.items():
        kinds = [event.kind for event in story]
        last = story[-1]
        assert kinds[0] == "started" and last.row == records[index]
        assert ("failed" if index in fates else "completed") == kinds[-1]
    assert [e.kind for e in by_trial[3] if e.kind != "progress"] == [
        "started", "lost", "started", "failed",
    ]  # fmt: skip
    assert "exit code 7, 2 times" in records[3]["reason"]
    assert records[1]["reason"] == "ValueError: an odd genome"
    assert "in evaluate" in by_trial[1][-1].traceback
    assert "diverged" in records[4]["reason"]
    assert "validation_error" not in records[4] and records[4]["input_output"] > 0
    assert [row["status"] for row in records].count("completed") == 6
    assert any(event.content == {"epoch": 1} for event in events)


def test_a_trial_that_stops_early_has_ended_without_a_result(tmp_path, pool):
    fates = {2: "stop", 5: "stop"}
    with search.create(tmp_path, SETTINGS, CONFIG) as study:
        events = _run(study, pool, 7, fates=fates)
        records = study.records()
        assert (study.num_finished, study.num_completed) == (7, 5)
    for index in fates:
        last = [event for event in events if event.index == index][-1]
        assert last.kind == "stopped" and last.row == records[index]
        assert last.content == records[index]["reason"] == "hopeless"
        assert records[index]["status"] == "stopped"
        assert "validation_error" not in records[index]
        assert records[index]["predicted_error"] > 0
        assert records[index]["curve"] == [0.9]
    # It is on no front, and adds no volume.
    least = {name: 0 for name in SETTINGS.objectives[1:]}
    rows = [row | least if row["index"] in fates else row for row in records]
    front = search.front(rows, SETTINGS.objectives)
    assert front and not {row["index"] for row in front} & set(fates)
    volumes = search.hypervolumes(rows, SETTINGS)
    assert volumes[2] == volumes[1] and volumes[5] == volumes[4]
    with search.load(tmp_path) as study:
        assert study.records() == records


def test_one_worker_repeats_a_search_exactly_even_interrupted(tmp_path):
    def rows(study):
        return [
            {k: row[k] for k in ("genome_id", "parent", "edit", "validation_error")}
            for row in study.records()
        ]

    with search.WorkerPool(1) as pool:
        with search.create(tmp_path / "whole", SETTINGS, CONFIG) as study:
            _run(study, pool, 10)
            whole = rows(study)
        with search.create(tmp_path / "cut", SETTINGS, CONFIG) as study:
            specify = study_tasks.specify()
            for event in search.run(study, pool, study_tasks.evaluate, specify, 10):
                if event.kind == "completed" and event.index == 5:
                    break  # One more is under way or waiting.
            assert study.num_trials > study.num_finished
            while pool.running:  # The abandoned task.
                pool.poll(1.0)
        with search.load(tmp_path / "cut") as study:
            _run(study, pool, 10)
            assert rows(study) == whole


def test_a_study_that_is_done_does_nothing(finished, tmp_path, pool):
    with search.create(tmp_path, SETTINGS, CONFIG) as study:
        _run(study, pool, 2)
        assert _run(study, pool, 2) == []


def test_a_search_in_which_all_trials_fail_stops(tmp_path, pool):
    fates = dict.fromkeys(range(100), "raise")
    with (
        search.create(tmp_path, SETTINGS, CONFIG) as study,
        pytest.raises(SearchError, match="first 8 trials .* an odd genome"),
    ):
        _run(study, pool, 100, fates=fates)


def test_a_disk_that_is_full_for_a_worker_stops_the_search_and_costs_no_trial(
    tmp_path, pool
):
    while pool.running:
        pool.poll(1.0)
    with (
        search.create(tmp_path, SETTINGS, CONFIG) as study,
        pytest.raises(SearchError, match="trial 2 could not be run: .*No space") as e,
    ):
        _run(study, pool, 5, fates={2: "full"})
    assert "in evaluate" in "".join(e.value.__notes__)
    while pool.running:
        pool.poll(1.0)
    with search.load(tmp_path) as study:
        assert 2 in [trial.index for trial in study.pending()]
        _run(study, pool, 5)
        assert [row["status"] for row in study.records()] == ["completed"] * 5


def test_killed_in_mid_run_and_resumed_nothing_is_lost_or_doubled(tmp_path, pool):
    while pool.running:
        pool.poll(1.0)
    run_dir, trials = tmp_path / "run", 14
    command = [sys.executable, "-m", "tests.search.study_tasks"]
    process = subprocess.Popen(
        [*command, str(run_dir), str(trials), "2", "0.05"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    ended = 0
    for line in process.stdout:
        ended += line.startswith("completed")
        if ended == 6:
            process.kill()
            break
    process.wait()
    process.stdout.close()
    assert process.returncode < 0
    with search.load(run_dir, SETTINGS, CONFIG) as study:
        before = study.records()
        done = [row for row in before if row["status"] == "completed"]
        assert 6 <= len(done) < trials
        started = {e.index for e in _run(study, pool, trials) if e.kind == "started"}
        assert started == set(range(trials)) - {row["index"] for row in done}
        records = study.records()
    assert [row["index"] for row in records] == list(range(trials))
    assert all(row["status"] == "completed" for row in records)
    assert len({row["genome_id"] for row in records}) == trials
    for row in done:
        assert records[row["index"]] == row
