import pytest

from spjax.report import words
from tests.report.synthetic import HEADER, failed, row, stopped, study


@pytest.mark.parametrize("length", [5, 6, 11])
def test_shorten_keeps_both_ends(length):
    text = "abcdefghijkl"
    short = words.shorten(text, length)
    assert len(short) <= length and "…" in short
    start, end = short.split("…")
    assert text.startswith(start) and text.endswith(end) and start and end
    assert words.shorten(text, 12) == text


def test_task_names_data_and_board():
    assert words.task(HEADER) == "digits for uno"
    assert words.task({}) == "an unnamed data set for no board"


def test_counts():
    rows = [
        row(0, on_front=True),
        row(1, feasible=False, on_front=True),
        row(2),
        failed(3),
    ]
    text = "4 trials · 1 failed · 2 on the front · 2 fit the board"
    assert words.trial_counts(rows, HEADER) == text
    text = "1 trial · 1 on the front · 1 fits the board"
    assert words.trial_counts(rows[:1], HEADER) == text


def test_pick_facts_name_the_models():
    rows = [row(5, validation_error=0.025, on_front=True)]
    assert words.pick_facts(rows, HEADER) == (
        "★ pick: trial 5, 2.50 % error, 1,000 B model_size_nonzero, 800 B input_output"
    )
    assert words.pick_facts([], HEADER) == "no pick: none fits the board"


def test_counts_add_up_for_a_study():
    rows = study(50, fail=0.2)
    done = sum(r["status"] == "completed" for r in rows)
    assert f"50 trials · {50 - done} failed" in words.trial_counts(rows, HEADER)


def test_further_readings_are_no_trials():
    rows = [
        row(0, on_front=True),
        row(0, reading=2, on_front=True, validation_error=0.01),
        row(1, feasible=False),
    ]
    text = "2 trials · 2 on the front · 1 fits the board"
    assert words.trial_counts(rows, HEADER) == text
    assert "pick: trial 0-2, 1.00 % error" in words.pick_facts(rows, HEADER)


def test_stopped_trials_are_counted_by_themselves():
    rows = [row(0, on_front=True), stopped(1), stopped(2), failed(3)]
    text = "4 trials · 2 stopped early · 1 failed · 1 on the front · 1 fits the board"
    assert words.trial_counts(rows, HEADER) == text
