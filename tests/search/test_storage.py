import dataclasses
import sqlite3

import pytest

from spjax import genomes, search
from spjax.search import storage
from spjax.search.errors import StudyError
from spjax.search.storage import EXPERIMENT
from tests.search.study_tasks import CONFIG, SETTINGS, advance

pytest.importorskip("ax")

from ax.api.client import Client  # noqa: E402
from ax.api.configs import StorageConfig  # noqa: E402
from ax.storage.sqa_store import db  # noqa: E402
from sqlalchemy import URL  # noqa: E402

from spjax.search.node import BUNDLE, MorphThompsonNode  # noqa: E402

# Ax tells at length which defaults it took for each parameter that it reads.
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


def test_bounds_below_the_limits_are_thresholds_too():
    bounded = dataclasses.replace(
        SETTINGS, error_bound=1e-6, size_bound=9000, memory_bound=512
    )
    experiment, _ = storage.new_experiment(bounded)
    config = experiment.optimization_config
    thresholds = {t.metric_names[0]: t.bound for t in config.objective_thresholds}
    assert thresholds == {
        "validation_error": 1e-6,
        "planned_arena": 512,
        "model_size_nonzero": 8192,
    }
    assert config.outcome_constraints == []


def test_ax_itself_reads_the_database(finished):
    run_dir, records, _ = finished
    url = URL.create("sqlite", database=str(run_dir / "study.db"))
    with db.session_context(url=url):
        client = Client.load_from_database(
            EXPERIMENT, StorageConfig(url=str(url), registry_bundle=BUNDLE)
        )
    experiment = client._experiment
    config = experiment.optimization_config
    assert config.objective.metric_names == list(SETTINGS.objectives)
    assert all(weight < 0 for _, weight in config.objective.metric_weights)
    thresholds = {t.metric_names[0]: t.bound for t in config.objective_thresholds}
    assert thresholds == {"planned_arena": 2048, "model_size_nonzero": 8192}
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


def test_data_lost_between_two_transactions_is_mended(copied):
    run_dir, records, _ = copied
    with sqlite3.connect(run_dir / "study.db") as database:
        gone = database.execute("delete from data_v2 where trial_index = 3").rowcount
    assert gone == 1
    with search.load(run_dir) as study:
        assert study.records() == records
        frame = study._experiment.lookup_data().df
        assert set(frame["trial_index"]) == set(range(6))
    with sqlite3.connect(run_dir / "study.db") as database:
        [count] = database.execute(
            "select count(*) from data_v2 where trial_index = 3"
        ).fetchone()
    assert count == 1


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
        advance(study, 2)
        before = study.records()
        # A trigger that refuses the next trial as SQLite refuses it on a full disk.
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
