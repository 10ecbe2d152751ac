import subprocess
import sys

import pytest

from spjax import genomes, search
from spjax.search.errors import StudyError
from spjax.search.trial_row import genome_of
from tests.search.study_tasks import CONFIG, SETTINGS, advance, figures_of

# Ax tells at length which defaults it took for each parameter that it reads.
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


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
        genome = genome_of(row)
        assert row["genome_id"] == genomes.genome_id(genome)
        figures = figures_of(genome)
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


def test_proposals_after_loading_are_those_of_an_uninterrupted_study(copied, tmp_path):
    run_dir, _, _ = copied
    with search.create(tmp_path / "whole", SETTINGS, CONFIG) as whole:
        advance(whole, 6)
        whole.fail(whole.propose().index, "no memory")
        whole.propose()
        expected = whole.propose()
    with search.load(run_dir) as study:
        assert study.propose() == expected


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


def test_a_trial_ends_once(finished):
    run_dir, records, _ = finished
    with search.load(run_dir) as study:
        for index in (0, 6, 99):
            with pytest.raises(StudyError, match=f"trial {index} is not under way"):
                study.complete(index, figures_of(study.pending()[0].genome))
        with pytest.raises(StudyError, match="without model_size_nonzero"):
            study.complete(7, {"validation_error": 0.1})
        assert study.records() == records


def test_a_stopped_trial_has_a_prediction_and_no_error(copied):
    run_dir, _, [left] = copied
    figures = figures_of(left.genome)
    error = figures.pop("validation_error")
    with search.load(run_dir) as study:
        for wrong in (figures, {"predicted_error": 0.5, "validation_error": 0.5}):
            with pytest.raises(StudyError, match="needs predicted_error and cannot"):
                study.stop(7, "hopeless", wrong)
        study.stop(7, "hopeless", {**figures, "predicted_error": error}, {"note": 3})
        row = study.record(7)
        assert (row["status"], row["reason"], row["note"]) == ("stopped", "hopeless", 3)
        assert row["predicted_error"] == error and "validation_error" not in row
        assert (study.num_finished, study.num_completed) == (8, 6)
        with pytest.raises(StudyError, match="not under way"):
            study.stop(7, "again", {"predicted_error": error})
        expected = study.records()
    with search.load(run_dir) as study:
        assert study.records() == expected and not study.pending()
