import csv
import io
import json

import pytest

from launch import table
from launch.record import Folder, Record
from launch.sweep import make_cells


@pytest.fixture
def folders(tmp_path):
    cells = make_cells("dataset=digits,mnist;seed=0,1", "exp")
    return [Folder(tmp_path, cell) for cell in cells]


def _finish(folder, code=0, **files):
    folder.run_dir.mkdir(parents=True, exist_ok=True)
    folder.write(Record(("python",), code, 12.345))
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder.run_dir / f"{name}.json").write_text(text)


def test_rows_hold_settings_status_and_figures(folders):
    best = {
        "schema": "spjax.best",
        "schema_version": 1,
        "feasible": True,
        "limits": {"input_output": 2048},
        "point": {
            "validation_error": 0.02,
            "input_output": 1500,
            "genome_id": "abc",
            "nothing": None,
            "files": {"genome": "g.json"},
        },
    }
    _finish(folders[0], best=best, front={"points": [1, 2, 3]})
    _finish(folders[1], code=2)
    _finish(folders[2], code=-9)
    rows = table.collect(folders)
    assert rows[0] == {
        "dataset": "digits",
        "seed": "0",
        "status": "finished",
        "seconds": 12.3,
        "feasible": True,
        "validation_error": 0.02,
        "input_output": 1500,
        "genome_id": "abc",
        "front_points": 3,
        "run_dir": str(folders[0].run_dir),
    }
    statuses = [row["status"] for row in rows]
    assert statuses == ["finished", "failed (2)", "killed by signal 9", "not run"]


def test_figures_at_the_top_level_count_too(folders):
    _finish(folders[0], best={"test_error": 0.5, "macs": 10})
    row = table.collect(folders)[0]
    assert (row["test_error"], row["macs"]) == (0.5, 10)


def test_swept_flag_wins_over_a_figure_of_its_name(folders):
    _finish(folders[0], best={"seed": 99, "status": "odd"})
    row = table.collect(folders)[0]
    assert row["seed"] == "0" and row["status"] == "finished"


@pytest.mark.parametrize("content", ["{", "[1]", "null"])
def test_damaged_results_are_said(folders, content):
    _finish(folders[0], best=content, front={"points": []})
    row = table.collect(folders)[0]
    assert row["status"] == "finished, unreadable best.json"
    assert row["front_points"] == 0


def test_no_pick_is_no_damage(folders):
    _finish(folders[0], best={"point": None, "feasible": False}, front={"points": None})
    row = table.collect(folders)[0]
    assert row["status"] == "finished" and row["feasible"] is False
    assert "front_points" not in row


def test_csv_is_read_back(folders):
    _finish(folders[0], best={"note": 'a, "b"\nc'})
    _finish(folders[3], best={"macs": 7})
    rows = table.collect(folders)
    read = list(csv.DictReader(io.StringIO(table.to_csv(rows))))
    assert list(read[0]) == table.columns(rows)
    assert read[0]["note"] == 'a, "b"\nc' and read[0]["macs"] == ""
    assert read[3]["macs"] == "7" and read[3]["note"] == ""
    assert [r["seed"] for r in read] == ["0", "1", "0", "1"]


def test_shown_columns_are_flags_then_known_figures_that_exist(folders):
    _finish(folders[0], best={"other": 1, "macs": 5, "validation_error": 0.1})
    shown = table.shown_columns(folders, table.collect(folders))
    assert shown == ["dataset", "seed", "status", "validation_error", "macs"]
    assert table.shown_columns([], []) == []


def test_markdown():
    rows = [{"a": 1.5, "b": True}, {"a": None, "b": "x|y\nz"}]
    assert table.to_markdown(rows, ["a", "b"]) == (
        "| a | b |\n| --- | --- |\n| 1.5 | yes |\n|  | x\\|y z |\n"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.02, "0.02"),
        (0.123456, "0.1235"),
        (0.000012345, "1.23e-05"),
        (100.0, "100"),
        (True, "yes"),
        (False, "no"),
        (2048, "2048"),
        (None, ""),
        ("x", "x"),
    ],
)
def test_text(value, expected):
    assert table.text(value) == expected
