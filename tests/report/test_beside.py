import pytest
from PIL import Image

from spjax.report import ReportError, beside

THEIRS = beside.Published("others", 0.98, 2000, 1000)


def _ours(accuracy=0.985, size=1900, memory=1000, **changes):
    figures = {
        "label": "7-1",
        "seeds": 3,
        "accuracy": accuracy,
        "spread": 0.001,
        "size_bytes": size,
        "memory_bytes": memory,
        "most_size_bytes": size,
        "most_memory_bytes": memory,
    }
    return beside.Trained(**(figures | changes))


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (_ours(), True),
        (_ours(accuracy=0.98), False),
        (_ours(size=2001), False),
        (_ours(memory=1001), False),
        (_ours(size=1999, most_size_bytes=2001), False),
    ],
)
def test_dominates(ours, expected):
    assert beside.dominates(ours, THEIRS) is expected


def test_figures_of_a_final_training():
    rows = [
        {"model_size_nonzero": 100, "input_output": 50},
        {"model_size_nonzero": 104, "input_output": 50},
    ]
    summary = {
        "test_error": {"mean": 0.02, "standard_deviation": 0.003, "count": 2},
        "model_size_nonzero": {"mean": 102.0},
        "input_output": {"mean": 50.0},
    }
    found = beside.trained("3", rows, summary, "input_output")
    assert found == beside.Trained("3", 2, 0.98, 0.003, 102.0, 50.0, 104, 50)
    with pytest.raises(ReportError, match="final training of 3.*planned_arena"):
        beside.trained("3", rows, summary, "planned_arena")


def test_table():
    lines = beside.beside_table(
        [(THEIRS, _ours()), (THEIRS, None)], "input_output"
    ).splitlines()
    assert "`input_output` B" in lines[0]
    assert lines[2] == "| others | 98.00 | 2,000 | 1,000 | |"
    assert (
        lines[3] == "| ours: trial 7-1, 3 seed(s) | 98.50 +- 0.10 | 1,900 | 1,000 | "
        "yes |"
    )
    assert lines[5] == "| none of ours is as small | | | | no |"
    cells = {line.count("|") for line in lines}
    assert cells == {6}


def test_picture(tmp_path):
    path = tmp_path / "beside.png"
    beside.plot_beside(path, [(THEIRS, _ours()), (THEIRS, None)], "set", "input_output")
    with Image.open(path) as picture:
        assert picture.size[0] > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50
