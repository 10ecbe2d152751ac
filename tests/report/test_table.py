import io

import pytest
from rich.console import Console

from spjax.report import choose_pick, front_markdown, front_table
from spjax.report.table import front_cells
from tests.report.synthetic import HEADER, row, study


def _print(table, width=200):
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue()


def test_heads_name_model_unit_and_limit():
    heads, _ = front_cells([row(0, on_front=True)], HEADER)
    assert heads == [
        "pick",
        "trial",
        "error %",
        "nonzero size B (max 32,768)",
        "input_output B (max 2,048)",
        "dense size B",
        "encoded size B",
        "MACs",
        "sparsity",
        "fits",
        "architecture",
    ]


def test_cells_show_the_figures_of_the_front_alone():
    rows = [
        row(0, validation_error=0.5),
        row(1, validation_error=0.25, on_front=True, feasible=False),
        row(2, validation_error=1 / 3, model_size_nonzero=1234, on_front=True),
    ]
    _, lines = front_cells(rows, HEADER)
    net = "÷2 · c5x5x12/2 bn relu · max2 · d32"
    assert lines == [
        [
            "",
            "1",
            "25.00",
            "1,000",
            "800",
            "4,000",
            "1,300",
            "50,000",
            "0.75",
            "no",
            net,
        ],
        [
            "★",
            "2",
            "33.33",
            "1,234",
            "800",
            "4,000",
            "1,300",
            "50,000",
            "0.75",
            "yes",
            net,
        ],
    ]


def test_the_test_error_has_a_column_if_known():
    rows = [row(0, on_front=True, test_error=0.0625), row(1, on_front=True)]
    heads, lines = front_cells(rows, HEADER)
    column = heads.index("test error %")
    assert sorted(line[column] for line in lines) == ["6.25", "?"]


def test_the_limit_stands_with_the_model_that_it_bounds():
    header = HEADER | {"memory_model": "live_bytes", "size_model": "dense"}
    heads, _ = front_cells([row(0, on_front=True)], header)
    assert "live_bytes B (max 2,048)" in heads and "dense size B (max 32,768)" in heads
    assert "nonzero size B" in heads


def test_rich_table_has_all_rows_and_keeps_square_brackets():
    rows = study(30)
    genome = {"input_branch": 5, "blocks": []}
    for r in rows:
        r["genome"] = genome
    front = [r for r in rows if r["on_front"]]
    table = front_table(rows, HEADER)
    assert table.row_count == len(front)
    text = _print(table)
    assert text.count("[in→d5]") == len(front)
    assert "Front of 30 trials on digits for uno" in text
    assert "indices not counted" in text
    (line,) = [line for line in text.splitlines() if "★" in line and "pick" not in line]
    assert f" {choose_pick(rows, HEADER)['index']} " in line


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_numbers_are_never_cut(width):
    rows = study(30)
    text = _print(front_table(rows, HEADER, width=width), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    for r in rows:
        if r["on_front"]:
            assert f" {r['model_size_nonzero']:,} " in text
            assert f" {r['input_output']:,} " in text
    assert ("MACs" in text) == (width >= 120)


def test_nothing_that_fits_is_said():
    rows = [row(0, on_front=True, feasible=False)]
    assert "no trial on the front fits the board" in _print(front_table(rows, HEADER))


def test_an_empty_front_prints():
    assert "Front of 0 trials" in _print(front_table([], HEADER))
    assert front_markdown([], HEADER).count("\n") == 2


def test_markdown_is_a_table():
    text = front_markdown(study(30), HEADER)
    lines = text.splitlines()
    bars = {line.count("|") for line in lines}
    assert bars == {12} and all(line.startswith("| ") for line in lines)
    assert lines[1].split()[1:4] == [":--", "|", "--:"]
    assert len(lines) == 2 + sum(r["on_front"] for r in study(30))


def test_markdown_escapes_bars_and_line_ends():
    genome = {"blocks": [{"convs": [{"kernel": "a|b\nc", "channels": 1}]}]}
    text = front_markdown([row(0, on_front=True, genome=genome)], HEADER)
    assert "ca\\|b cxa\\|b cx1" in text and text.count("\n") == 3


def test_a_further_reading_is_named_after_its_trial():
    rows = [row(7, on_front=True), row(7, reading=2, on_front=True, feasible=False)]
    assert [line[1] for line in front_cells(rows, HEADER)[1]] == ["7", "7-2"]
    assert "Front of 1 trials" in front_table(rows, HEADER).title.plain
