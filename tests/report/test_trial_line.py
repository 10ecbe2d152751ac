import io

import pytest
from rich.console import Console
from rich.text import Text

from spjax.report import trial_line
from tests.report.synthetic import HEADER, failed, row


def test_says_every_figure_with_its_model():
    trial = row(12, validation_error=0.03612, model_size_nonzero=1034)
    assert str(trial_line(trial, HEADER)) == (
        "  12  error    3.61 %  size     1,034 B nonzero  input_output     800 B  fits"
        "  2.5 s  random"
    )


def test_says_which_limits_are_broken():
    trial = row(1, input_output=2560, model_size_nonzero=40000, feasible=False)
    line = str(trial_line(trial, HEADER))
    assert "over: input_output > 2,048 B; model_size_nonzero > 32,768 B" in line
    # Infeasible for a reason that the header does not show.
    assert "does not fit" in str(trial_line(row(1, feasible=False), HEADER))


@pytest.mark.parametrize("model", ["input_weights", "live_bytes"])
def test_follows_the_memory_model(model):
    line = str(trial_line(row(0, **{model: 1234}), HEADER | {"memory_model": model}))
    assert f"{model}   1,234 B" in line and "input_output" not in line


def test_follows_the_size_model():
    line = str(trial_line(row(0), HEADER | {"size_model": "dense"}))
    assert "4,000 B dense" in line


def test_columns_stand_still():
    small = row(0, validation_error=0.0001, model_size_nonzero=1, input_output=1)
    large = row(
        9999, validation_error=1.0, model_size_nonzero=9_999_999, input_output=999_999
    )
    lines = [str(trial_line(r, HEADER)) for r in (small, large)]
    for word in ("error", "%", "size", "nonzero", "input_output", "fits"):
        assert lines[0].index(word) == lines[1].index(word)


def test_a_failed_trial_says_why_on_one_line():
    line = str(trial_line(failed(3, "killed\nby signal 9"), HEADER))
    assert line.startswith("   3  failed: killed by signal 9")
    assert "\n" not in line
    assert "no reason given" in str(trial_line(failed(3, None), HEADER))


def _print(colour):
    file = io.StringIO()
    system = "standard" if colour else None
    console = Console(
        file=file, width=200, force_terminal=colour, color_system=system, no_color=False
    )
    console.print(trial_line(failed(3, "odd [bold]reason[/bold]"), HEADER))
    console.print(trial_line(row(4), HEADER))
    return file.getvalue()


def test_colour_adds_codes_and_changes_no_words():
    plain, coloured = _print(False), _print(True)
    assert "\x1b[" in coloured and "\x1b[" not in plain
    assert Text.from_ansi(coloured).plain.rstrip() == plain.rstrip()
    assert "odd [bold]reason[/bold]" in plain


def test_a_stopped_trial_says_why():
    reason = "after 10 of 30 epochs: predicted validation error 53.00 %"
    trial = {"index": 7, "status": "stopped", "reason": reason, "seconds": 1.25}
    assert str(trial_line(trial, HEADER)) == f"   7  stopped {reason}  1.2 s"
