from spjax.report import best_json, read_json, write_best
from tests.report.synthetic import HEADER, row


def test_says_what_was_picked_and_under_which_limits(tmp_path):
    pick = row(9, on_front=True)
    write_best(tmp_path / "best.json", pick, HEADER)
    content = read_json(tmp_path / "best.json")
    assert content["point"] == pick and content["header"] == HEADER
    assert content["feasible"] is True
    assert content["limits"] == {
        "board": "uno",
        "input_output": 2048,
        "model_size_nonzero": 32768,
    }
    assert content["reason"] == (
        "lowest validation error on the front among those within the limits of uno "
        "(input_output <= 2,048 B and model_size_nonzero <= 32,768 B)"
    )
    assert "input_output" in content["models"]


def test_says_that_nothing_fits():
    content = best_json(None, HEADER)
    assert content["point"] is None and content["feasible"] is False
    assert content["reason"].startswith("no trial on the front meets the limits of uno")


def test_says_which_limit_a_pick_breaks():
    content = best_json(row(9, feasible=False, input_output=3000), HEADER)
    assert content["feasible"] is False
    assert content["reason"].endswith("over: input_output > 2,048 B")


def test_without_limits():
    board = {"name": "mine", "ram_bytes": None, "flash_bytes": 5000}
    content = best_json(row(1), HEADER | {"board": board})
    assert "limits of mine (model_size_nonzero <= 5,000 B)" in content["reason"]
    assert content["limits"]["input_output"] is None
    assert "no limits" in best_json(row(1), HEADER | {"board": None})["reason"]
