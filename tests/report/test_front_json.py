import json
import os

import pytest

from spjax.report import ReportError, front_json, read_front, write_front
from tests.report.synthetic import HEADER, row, study


def _front(count=40):
    return [r for r in study(count) if r["on_front"]]


def test_reads_back_with_every_point_and_figure(tmp_path):
    points = _front()
    write_front(tmp_path / "front.json", HEADER, points)
    content = read_front(tmp_path / "front.json")
    assert content["header"] == HEADER
    assert sorted(content["points"], key=lambda p: p["index"]) == points
    assert os.listdir(tmp_path) == ["front.json"]


def test_points_run_from_the_lowest_error_up():
    errors = [p["validation_error"] for p in front_json(HEADER, _front())["points"]]
    assert errors == sorted(errors) and len(errors) > 5


def test_names_its_models_objectives_and_limits():
    content = front_json(HEADER, _front())
    assert content["objectives"] == [
        "validation_error",
        "model_size_nonzero",
        "input_output",
    ]
    assert content["limits"] == {
        "board": "uno",
        "input_output": 2048,
        "model_size_nonzero": 32768,
    }
    figures = {
        "input_output",
        "input_weights",
        "live_bytes",
        "best_order",
        "planned_arena",
        "model_size_nonzero",
        "model_size_dense",
        "model_size_encoded",
        "macs",
        "sparsity",
    }
    assert figures < set(content["models"])
    assert all(figures <= set(point) for point in content["points"])
    assert "not counted" in content["models"]["model_size_nonzero"]


def test_pick_is_the_first_that_fits():
    points = [
        row(0, validation_error=0.01, feasible=False),
        row(1, validation_error=0.03),
        row(2, validation_error=0.02),
    ]
    assert front_json(HEADER, points)["pick"] == 2
    assert front_json(HEADER, points[:1])["pick"] is None
    assert front_json(HEADER, [])["pick"] is None


def test_paths_of_files_are_relative_to_the_folder(tmp_path):
    files = {
        "genome": str(tmp_path / "front" / "3" / "genome.json"),
        "weights": "front/3/weights.npz",
        "masks": tmp_path / "masks.npz",
        "other": None,
    }
    write_front(tmp_path / "front.json", HEADER, [row(3, files=files)])
    (point,) = read_front(tmp_path / "front.json")["points"]
    assert point["files"] == {
        "genome": "front/3/genome.json",
        "weights": "front/3/weights.npz",
        "masks": "masks.npz",
        "other": None,
    }


def test_an_empty_front_is_a_front(tmp_path):
    write_front(tmp_path / "front.json", HEADER, [])
    assert read_front(tmp_path / "front.json")["points"] == []


@pytest.mark.parametrize("key", ["input_weights", "model_size_dense", "sparsity"])
@pytest.mark.parametrize("value", [None, float("nan"), "12"])
def test_a_point_without_a_figure_is_not_written(tmp_path, key, value):
    with pytest.raises(ReportError, match=f"trial 5: {key} is"):
        write_front(tmp_path / "front.json", HEADER, [row(5, **{key: value})])
    assert not os.listdir(tmp_path)


def test_the_memory_model_of_the_run_must_be_there():
    header = HEADER | {"memory_model": "planned_arena"}
    with pytest.raises(ReportError, match="planned_arena is None"):
        front_json(header, [row(0, planned_arena=None)])
    content = front_json(header, [row(0, planned_arena=900)])
    assert content["limits"]["planned_arena"] == 2048


def _changed(**changes):
    content = front_json(HEADER, [row(4)])
    for key, value in changes.items():
        content[key] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        (_changed()[:200], "is not JSON"),
        ("[1, 2]", "is not a front"),
        ('{"points": []}', "is not a front"),
        (_changed(schema_version=2), "has schema version 2; this spjax reads 1"),
        (_changed(points={}), "'points' is not a list"),
        (_changed(header=None), "'header' is not a dict"),
        (_changed(points=[3]), "a point has no trial index"),
        (_changed(points=[{"index": 1}]), "trial 1: validation_error is None"),
        (_changed(points=[row(2, genome="x")]), "trial 2: genome is 'x'"),
        (_changed(points=[row(2, files="x")]), "trial 2: files is 'x'"),
        (_changed(header={}), "memory_model is None"),
    ],
)
def test_damage_is_named(tmp_path, text, message):
    path = tmp_path / "front.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=message):
        read_front(path)


def test_a_further_reading_can_be_the_pick():
    own = row(4, on_front=True, reading=0, validation_error=0.02, feasible=False)
    further = row(4, on_front=True, reading=2, validation_error=0.03, threshold=4.5)
    content = front_json(HEADER, [further, own])
    assert [p["reading"] for p in content["points"]] == [0, 2]
    assert (content["pick"], content["pick_reading"]) == (4, 2)
    assert content["points"][1]["threshold"] == 4.5
    plain = front_json(HEADER, [row(1, on_front=True)])
    assert (plain["pick"], plain["pick_reading"]) == (1, 0)
    assert front_json(HEADER, [])["pick_reading"] is None
