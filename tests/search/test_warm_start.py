import dataclasses
import shutil

import pytest

from spjax import genomes, networks, search
from spjax.search import warm_start
from spjax.search.errors import StudyError
from spjax.search.trial_row import genome_of
from tests.search.study_tasks import CONFIG, SETTINGS, advance

pytestmark = pytest.mark.filterwarnings("ignore::Warning")
_ONE = dataclasses.replace(SETTINGS, initial_trials=1, random_share=0.0)


@pytest.fixture
def other(copied):
    """The finished study, with weights of its completed trials but one."""
    run_dir, records, _ = copied
    for row in records[1:6]:
        folder = search.trial_folder(run_dir, row["index"])
        folder.mkdir(parents=True)
        networks.save_tree(folder / "weights.npz", {"w": [row["index"]]})
    return run_dir, records


def test_the_trials_of_another_run_are_earlier_observations(other, tmp_path):
    other_dir, records = other
    new = tmp_path / "new"
    with search.create(new, _ONE, CONFIG, earlier=other_dir) as study:
        assert study.records() == [] and study.num_finished == 0
        earlier = study.earlier
        assert [o.index for o in earlier] == [-1, -2, -3, -4, -5, -6]
        for observation, row in zip(earlier, records, strict=False):
            genome = genome_of(row)
            assert observation.genome == genome
            assert observation.status == "completed"
            for name in SETTINGS.objectives:
                assert observation.figures[name] == row[name]
        for k in range(1, 6):
            path = search.weights_of(new, -1 - k)
            assert networks.load_tree(path)["w"].tolist() == [k]
        # There were none: as for a parent that failed.
        assert not search.weights_of(new, -1).exists()
        # The first proposals are morphs of the other run's networks already, and new.
        study.propose()
        trials = [study.propose() for _ in range(4)]
        assert any(t.parent is not None and t.parent < 0 for t in trials)
        known = {o.genome for o in earlier}
        assert not known & {t.genome for t in trials}


def test_a_warm_started_run_does_not_need_the_other_one_again(other, tmp_path):
    other_dir, _ = other
    new, whole = tmp_path / "new", tmp_path / "whole"
    with search.create(whole, _ONE, CONFIG, earlier=other_dir) as study:
        earlier = study.earlier
        advance(study, 4)
        expected = [(row["genome_id"], row["parent"]) for row in study.records()]
    with search.create(new, _ONE, CONFIG, earlier=other_dir) as study:
        advance(study, 2)
    for path in other_dir.iterdir():
        if path.name in ("study.db", "run.json"):
            path.unlink()
    shutil.rmtree(other_dir / "trials")
    with search.load(new) as study:
        assert study.earlier == earlier
        advance(study, 2)
        assert [(r["genome_id"], r["parent"]) for r in study.records()] == expected
    # Without it the search is another one.
    with search.create(tmp_path / "cold", _ONE, CONFIG) as study:
        advance(study, 4)
        cold = [(row["genome_id"], row["parent"]) for row in study.records()]
    assert cold != expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (8, 8, 1)}, "images of the shape 16x16x1, not 8x8x1"),
        ({"num_classes": 3}, "images of 10 classes, not 3"),
        (
            {"memory_model": "live_bytes"},
            "minimised .*, planned_arena, not .*, live_bytes",
        ),
        ({"size_model": "dense"}, "model_size_nonzero, .* not .*model_size_dense"),
        ({"bytes_per_element": 4}, "counted 1 byte.* not 4"),
        ({"bounds": genomes.Bounds(channels=(99, 100))}, "no completed trial with"),
    ],
)
def test_a_run_that_does_not_match_is_refused_and_leaves_nothing(
    other, tmp_path, changes, message
):
    settings = dataclasses.replace(SETTINGS, **changes)
    with pytest.raises(StudyError, match=message):
        search.create(tmp_path / "new", settings, CONFIG, earlier=other[0])
    assert not (tmp_path / "new").exists()


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(StudyError, match="holds no run"):
        search.create(tmp_path / "new", SETTINGS, earlier=tmp_path / "nowhere")


def test_only_what_can_be_used_is_taken(finished):
    _, records, _ = finished
    whole = warm_start.select("other", records, SETTINGS, SETTINGS)
    assert [entry["index"] for entry in whole] == [0, 1, 2, 3, 4, 5]
    lacking = [{**records[0], "planned_arena": None}, *records[1:]]
    readings = [{n: records[2][n] for n in SETTINGS.objectives}, {"macs": 7}]
    lacking[2] = {**records[2], "readings": readings}
    taken = warm_start.select("other", lacking, SETTINGS, SETTINGS)
    assert [entry["index"] for entry in taken] == [1, 2, 3, 4, 5]
    assert taken[1]["readings"] == readings[:1]


def test_a_damaged_copy_is_one_clear_line(other, tmp_path):
    new = tmp_path / "new"
    search.create(new, _ONE, CONFIG, earlier=other[0]).close()
    (new / warm_start.FOLDER / "observations.json").write_text("[{}]")
    with pytest.raises(StudyError, match="warm_start is damaged.*another folder"):
        search.load(new)
    (new / warm_start.FOLDER / "observations.json").write_text("[]")
    search.load(new).close()  # The folder was let go.


def test_parents_and_their_weights(tmp_path):
    assert search.weights_of(tmp_path, None) is None
    own = search.trial_folder(tmp_path, 12) / "weights.npz"
    assert search.weights_of(tmp_path, 12) == own
    assert search.weights_of(tmp_path, -13) == tmp_path / "warm_start" / "0012.npz"
    assert search.weights_of(tmp_path, 0) != search.weights_of(tmp_path, -1)
