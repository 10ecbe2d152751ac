"""Flags of the search that become settings."""

import pytest

from experiments import _cli, _search_run


def test_stages_begin_at_shares_of_the_trials():
    assert _search_run.stage_starts_of(["0.5", "0.3", "0.2"], "morphs", 200) == (
        100,
        160,
    )
    # SpArSe's own algorithm has stages unless told otherwise, the others have not.
    assert _search_run.stage_starts_of(None, "sparse", 100) == (60, 80)
    assert _search_run.stage_starts_of(None, "morphs", 100) is None
    assert _search_run.stage_starts_of(["1", "0", "0"], "sparse", 100) == (100, 100)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (["0.5", "0.5"], r"--stages=0.5,0.5: .* three shares .* 0.6,0.2,0.2"),
        (["1", "1", "-1"], "--stages=1,1,-1: .* none negative"),
        (["all", "0", "0"], "--stages=all,0,0: give three numbers"),
        (["nan", "0", "1"], "--stages=nan,0,1: .* three shares"),
    ],
)
def test_other_stages_are_refused_with_the_flag(shares, message):
    with pytest.raises(_cli.UsageError, match=message):
        _search_run.stage_starts_of(shares, "morphs", 100)
