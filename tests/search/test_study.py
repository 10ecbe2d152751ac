import json
import os
import subprocess
import sys

import pytest

from spjax import genomes, search
from spjax.search import storage
from spjax.search.drawing import cost_of
from spjax.search.errors import SearchError, StudyError
from tests.search import study_tasks
from tests.search.study_tasks import CONFIG, SETTINGS
from tests.search.synthetic import synthetic_error

# Ax tells at length which defaults it took for each parameter that it reads.
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


def _figures(genome):
    cost = cost_of(genome, SETTINGS)
    return {**cost, "validation_error": synthetic_error(genome, cost)}


def _advance(study, count):
    for _ in range(count):
        trial = study.propose()
        study.complete(trial.index, _figures(trial.genome), {"seconds": 0.5})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study of 8 trials: 6 completed, one failed, one under way; closed."""
    run_dir = tmp_path_factory.mktemp("run") / "a run?#%41"
    with search.create(run_dir, SETTINGS, CONFIG) as study:
        _advance(study, 6)
        study.fail(study.propose().index, "no memory", {"note": [1, 2]})
        study.propose()
        return run_dir, study.records(), study.pending()


def test_importing_the_room_loads_neither_ax_nor_torch():
    code = (
        "import sys, spjax.search; "
        "sys.exit(bool({'ax', 'torch', 'botorch', 'sqlalchemy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_rows_hold_everything_that_is_known(finished):
    _, records, _ = finished
    assert [row["index"] for row in records] == list(range(8))
    statuses = [row["status"] for row in records]
    assert statuses == ["completed"] * 6 + ["failed", "running"]
    for row in records[:6]:
        genome = genomes.from_json(json.dumps(row["genome"]))
        assert row["genome_id"] == genomes.genome_id(genome)
        figures = _figures(genome)
        assert {name: row[name] for name in figures} == figures
        assert row["seconds"] == 0.5
        assert isinstance(row["model_size_nonzero"], int)
    assert records[6]["reason"] == "no memory" and records[6]["note"] == [1, 2]
    assert "validation_error" not in records[6]
    assert records[0]["edit"] == "random" and records[0]["parent"] is None
    assert any(row["parent"] is not None for row in records)


def test_a_study_comes_back_as_it_was(finished):
    run_dir, records, pending = finished
    with search.load(run_dir, SETTINGS, CONFIG) as study:
        assert study.records() == records
        assert study.pending() == pending and pending[0].index == 7
        assert (study.num_trials, study.num_finished, study.num_completed) == (8, 7, 6)
        assert study.settings == SETTINGS and study.config == CONFIG


def test_proposals_after_loading_are_those_of_an_uninterrupted_study(
    finished, tmp_path
):
    run_dir, records, pending = finished
    with search.create(tmp_path / "whole", SETTINGS, CONFIG) as whole:
        _advance(whole, 6)
        whole.fail(whole.propose().index, "no memory")
        whole.propose()
        expected = whole.propose()
    # On a copy, so that the other tests keep theirs.
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("study.db", "run.json"):
        (copy / name).write_bytes((run_dir / name).read_bytes())
    with search.load(copy) as study:
        assert study.propose() == expected


def test_ax_itself_reads_the_database(finished):
    run_dir, records, _ = finished
    from ax.api.client import Client
    from ax.api.configs import StorageConfig
    from ax.storage.sqa_store import db
    from sqlalchemy import URL

    from spjax.search.node import BUNDLE, MorphThompsonNode

    url = URL.create("sqlite", database=str(run_dir / "study.db"))
    with db.session_context(url=url):
        client = Client.load_from_database(
            storage.EXPERIMENT, StorageConfig(url=str(url), registry_bundle=BUNDLE)
        )
    experiment = client._experiment
    config = experiment.optimization_config
    assert config.objective.metric_names == list(SETTINGS.objectives)
    assert all(weight < 0 for _, weight in config.objective.metric_weights)
    thresholds = {t.metric_names[0]: t.bound for t in config.objective_thresholds}
    assert thresholds == {"input_output": 2048, "model_size_nonzero": 8192}
    node = client._generation_strategy.current_node
    assert isinstance(node, MorphThompsonNode) and node.settings == SETTINGS
    frame = experiment.lookup_data().df
    assert set(frame["trial_index"]) == set(range(6))
    assert {"macs", "live_bytes", "input_weights"} <= set(frame["metric_name"])
    errors = frame[frame["metric_name"] == "validation_error"].set_index("trial_index")
    # Ax keeps 10 decimals.
    assert errors["mean"].to_dict() == pytest.approx(
        {row["index"]: row["validation_error"] for row in records[:6]}, abs=1e-9
    )
    # One to one: each arm's point reads as the row's genome.
    for row in records:
        point = experiment.trials[row["index"]].arm.parameters
        assert genomes.genome_id(genomes.from_flat(point)) == row["genome_id"]


def test_data_lost_between_two_transactions_is_mended(finished, tmp_path):
    import sqlite3

    run_dir, records, _ = finished
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("study.db", "run.json"):
        (copy / name).write_bytes((run_dir / name).read_bytes())
    with sqlite3.connect(copy / "study.db") as database:
        gone = database.execute("delete from data_v2 where trial_index = 3").rowcount
    assert gone == 1
    with search.load(copy) as study:
        assert study.records() == records
        frame = study._experiment.lookup_data().df
        assert set(frame["trial_index"]) == set(range(6))
    with sqlite3.connect(copy / "study.db") as database:
        [count] = database.execute(
            "select count(*) from data_v2 where trial_index = 3"
        ).fetchone()
    assert count == 1


def test_a_folder_is_not_started_twice_nor_resumed_otherwise(finished, tmp_path):
    run_dir, _, _ = finished
    with pytest.raises(StudyError, match="holds a run already"):
        search.create(run_dir, SETTINGS, CONFIG)
    with pytest.raises(StudyError, match="dataset=synthetic, not dataset=mnist"):
        search.load(run_dir, SETTINGS, {"dataset": "mnist"})
    with pytest.raises(StudyError, match="holds no run"):
        search.load(tmp_path)
    with search.load(run_dir), pytest.raises(StudyError, match="in use"):
        search.load(run_dir)


def test_damaged_and_unwritable_databases_are_one_clear_line(finished, tmp_path):
    run_dir, _, _ = finished
    (tmp_path / "run.json").write_bytes((run_dir / "run.json").read_bytes())
    with pytest.raises(StudyError, match=r"holds no study\.db"):
        search.load(tmp_path)
    (tmp_path / "study.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StudyError, match=r"cannot read .*study\.db.*not a database"):
        search.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot make the folder"):
        search.create(tmp_path / "file" / "run", SETTINGS)


def test_a_full_disk_is_one_clear_line_and_the_study_resumes(tmp_path):
    with search.create(tmp_path, SETTINGS, CONFIG) as study:
        _advance(study, 2)
        before = study.records()
        # A trigger that refuses the next trial as SQLite refuses it on a full disk.
        import sqlite3

        with sqlite3.connect(tmp_path / "study.db") as database:
            database.execute(
                "create trigger full before insert on trial_v2 begin "
                "select raise(abort, 'database or disk is full'); end"
            )
        with pytest.raises(StudyError, match=r"cannot write .*disk is full") as caught:
            study.propose()
        assert "\n" not in str(caught.value)
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("drop trigger full")
    with search.load(tmp_path) as study:
        assert study.records() == before
        assert study.propose().index == 2


def test_a_trial_ends_once(finished):
    run_dir, records, _ = finished
    with search.load(run_dir) as study:
        for index in (0, 6, 99):
            with pytest.raises(StudyError, match=f"trial {index} is not under way"):
                study.complete(index, _figures(study.pending()[0].genome))
        with pytest.raises(StudyError, match="without model_size_nonzero"):
            study.complete(7, {"validation_error": 0.1})
        assert study.records() == records


# --- The runner -----------------------------------------------------------------------


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
