import csv
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spjax.report import COLUMNS, ReportError, read_trials_csv, write_trials_csv
from tests.report.synthetic import GENOME, failed, row, stopped, study


def test_columns_are_stable():
    assert COLUMNS[:6] == (
        "index",
        "status",
        "validation_error",
        "model_size_nonzero",
        "model_size_dense",
        "model_size_encoded",
    )
    assert set(row(0)) == set(COLUMNS)


def test_a_study_reads_back_as_it_was(tmp_path):
    rows = study(30, fail=0.3)
    assert any(r["status"] == "failed" for r in rows)
    write_trials_csv(tmp_path / "trials.csv", rows)
    assert read_trials_csv(tmp_path / "trials.csv") == rows


def test_another_reader_sees_the_same_figures(tmp_path):
    write_trials_csv(tmp_path / "t.csv", [row(0, validation_error=1 / 3), failed(1)])
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert float(first["validation_error"]) == 1 / 3
    assert (first["model_size_nonzero"], first["feasible"]) == ("1000", "true")
    assert second["status"] == "failed" and second["validation_error"] == ""
    assert second["reason"] == "loss became NaN at epoch 3"


def test_no_rows_leave_the_heads(tmp_path):
    write_trials_csv(tmp_path / "t.csv", [])
    assert (tmp_path / "t.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert read_trials_csv(tmp_path / "t.csv") == []


def test_extra_columns_follow_by_name_and_keep_their_types(tmp_path):
    rows = [
        row(0, test_error=0.25, name="12", count=12, many=[1, "a"], gone=None),
        row(1),
    ]
    write_trials_csv(tmp_path / "t.csv", rows)
    head = (tmp_path / "t.csv").read_text().splitlines()[0]
    assert head == ",".join((*COLUMNS, "count", "gone", "many", "name", "test_error"))
    first, second = read_trials_csv(tmp_path / "t.csv")
    assert first == row(0, test_error=0.25, name="12", count=12, many=[1, "a"])
    assert second == row(1)


def test_numpy_values_are_written_as_numbers(tmp_path):
    values = {
        "validation_error": np.float64(0.1),
        "feasible": np.bool_(False),
        "macs": 1e6,
        "model_size_nonzero": np.float64(12.0),
    }
    write_trials_csv(
        tmp_path / "t.csv", [row(np.int64(3), live_bytes=math.nan, **values)]
    )
    (read,) = read_trials_csv(tmp_path / "t.csv")
    assert {key: read[key] for key in values} == {
        "validation_error": 0.1,
        "feasible": False,
        "macs": 1_000_000,
        "model_size_nonzero": 12,
    }
    assert read["index"] == 3 and read["live_bytes"] is None
    assert read["feasible"] is False and isinstance(read["macs"], int)


def test_nan_stays_nan(tmp_path):
    write_trials_csv(tmp_path / "t.csv", [row(0, validation_error=math.nan)])
    assert math.isnan(read_trials_csv(tmp_path / "t.csv")[0]["validation_error"])


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    reason=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    error=st.floats(allow_nan=False),
    key=st.text(st.characters(exclude_categories=["Cs"])),
    extra=st.none() | st.booleans() | st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_text_and_number_round_trips(tmp_path, reason, error, key, extra):
    written = row(
        7, reason=reason, validation_error=error, genome=GENOME | {"note": key}
    )
    if extra is not None:
        written["extra"] = extra
    write_trials_csv(tmp_path / "t.csv", [written, failed(8)])
    assert read_trials_csv(tmp_path / "t.csv") == [written, failed(8)]


@pytest.mark.parametrize("key", ["index", "status"])
def test_a_row_without_a_name_is_refused(tmp_path, key):
    with pytest.raises(ReportError, match=f"no {key}"):
        write_trials_csv(tmp_path / "t.csv", [row(0) | {key: None}])
    assert not (tmp_path / "t.csv").exists()


def _damage(path, old, new):
    write_trials_csv(path, [row(0), row(1)])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("status,", "", "no column 'status'"),
        ("0.05", "0.05x", "line 2, column validation_error: .*0.05x"),
        (",1000,", ",10", "line 2: .* cells under .* columns"),
        ("true", "yes", "line 2, column feasible: 'yes' is neither"),
        ('""version""', '""version', "line 2, column genome"),
    ],
)
def test_damage_is_named_by_line_and_column(tmp_path, old, new, message):
    path = tmp_path / "trials.csv"
    _damage(path, old, new)
    with pytest.raises(ReportError, match=f"trials.csv.*{message}"):
        read_trials_csv(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "no column 'index'"),
        (b"\xff", "not a text file"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "trials.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReportError, match=message):
        read_trials_csv(path)


def test_stopped_trials_read_back(tmp_path):
    write_trials_csv(tmp_path / "trials.csv", rows := [row(0), stopped(1)])
    back = read_trials_csv(tmp_path / "trials.csv")
    assert back[1]["status"] == "stopped" and back[1]["validation_error"] is None
    for key in ("reason", "predicted_error", "validation_curve"):
        assert back[1][key] == rows[1][key]
