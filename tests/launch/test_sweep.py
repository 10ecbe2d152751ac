import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch.errors import LaunchError
from launch.sweep import make_cells, parse_sweep

_FLAGS = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(
    lambda flag: flag not in ("run_dir", "resume")
)
_PLAIN = st.text("abcXYZ019._-/:=+ '", min_size=1, max_size=6).filter(
    lambda value: (
        value == value.strip() and value[0] != "'" and not re.search(r"=\s*'", value)
    )
)
_ANY = st.text('ab,;= "/', max_size=6)
_GRIDS = st.dictionaries(
    _FLAGS,
    st.lists(st.tuples(st.booleans(), _PLAIN, _ANY), min_size=1, max_size=3),
    min_size=1,
    max_size=3,
)


def _as_text(grid):
    """Writes a grid as a sweep; returns it with the values that must come back."""
    parts, expected = [], {}
    for flag, drawn in grid.items():
        values, written = [], []
        for quoted, plain, anything in drawn:
            value = anything if quoted else plain
            if value not in values:
                values.append(value)
                written.append(f"'{value}'" if quoted else value)
        expected[flag] = tuple(values)
        parts.append(f"{flag} = {' , '.join(written)}")
    return " ; ".join(parts), expected


@settings(deadline=None, max_examples=200)
@given(_GRIDS)
def test_values_come_back_as_they_were_written(grid):
    text, expected = _as_text(grid)
    assert dict(parse_sweep(text)) == expected


@settings(deadline=None, max_examples=100)
@given(_GRIDS)
def test_cells_are_the_product_in_nested_loop_order(grid):
    text, expected = _as_text(grid)
    cells = make_cells(text, "exp")
    product = [
        tuple(zip(expected, values, strict=True))
        for values in itertools.product(*expected.values())
    ]
    assert [cell.settings for cell in cells] == product
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9._+=,-]{1,89}", name)
        assert name not in (".", "..")


def test_the_issues_example():
    cells = make_cells("dataset=digits,mnist;seed=0,1,2", "experiments.search")
    assert [dict(cell.settings) for cell in cells] == [
        {"dataset": dataset, "seed": seed}
        for dataset in ("digits", "mnist")
        for seed in ("0", "1", "2")
    ]


def test_command():
    (cell,) = make_cells("dataset='folder:/a,b'", "exp.x", ["--trials=3", "--grey"])
    assert cell.command("python", "root/cell/run", ["--resume"]) == (
        *("python", "-m", "exp.x", "--dataset=folder:/a,b"),
        *("--trials=3", "--grey", "--run_dir=root/cell/run", "--resume"),
    )


def test_names_are_stable_across_versions():
    # A name that changed would run finished cells again: these are fixed for good.
    (cell,) = make_cells("dataset=digits", "experiments.search", ["--trials=3"])
    assert cell.name == "dataset=digits-cfd380fa"


def test_names_tell_experiment_settings_and_extra_flags_apart():
    names = {
        make_cells(sweep, experiment, extra)[0].name
        for sweep, experiment, extra in [
            ("a=1", "x", []),
            ("a=1", "y", []),
            ("a=2", "x", []),
            ("b=1", "x", []),
            ("a=1", "x", ["--c=1"]),
            ("a=1", "x", ["--c=2"]),
            ("a=1", "x", ["--c=1", "--d=1"]),
            ("a=1/", "x", []),
            ("a=1:", "x", []),
            ("a=" + "1" * 200, "x", []),
            ("a=" + "1" * 201, "x", []),
        ]
    }
    assert len(names) == 11 and max(map(len, names)) <= 89


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("", "'' is not of the form"),
        ("a", "'a' is not of the form"),
        ("a=1;", "'' is not of the form"),
        ("=1", "'=1' is not of the form"),
        ("--a=1", "without dashes"),
        ("a b=1", "'a b=1' is not of the form"),
        ("a=", "a value is empty"),
        ("a=1,,2", "a value is empty"),
        ("a=1;a=2", "a comes twice"),
        ("a=1,2,1", "a=1 comes twice"),
        ("a='1", "the quote ' is not closed"),
        ("a='1'2", "goes on after its quote"),
        ("run_dir=x,y", "--run_dir is set by the launcher"),
        ("resume=true", "--resume is set by the launcher"),
    ],
)
def test_bad_sweeps(sweep, expected):
    with pytest.raises(LaunchError) as caught:
        make_cells(sweep, "exp")
    assert str(caught.value).startswith(f"--sweep={sweep}: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("digits", "'digits' after --: not a flag"),
        ("---x=1", "not a flag"),
        ("--a=3", "--a is swept as well"),
        ("--noa", "--a is swept as well"),
        ("--run_dir=x", "--run_dir is set by the launcher"),
        ("--resume", "--resume is set by the launcher"),
        ("--noresume", "--resume is set by the launcher"),
    ],
)
def test_bad_extra_flags(extra, expected):
    with pytest.raises(LaunchError) as caught:
        make_cells("a=1", "exp", ["--fine=1", extra])
    assert expected in str(caught.value)


def test_an_apostrophe_inside_a_value_is_a_character():
    assert parse_sweep("a=it's,b") == (("a", ("it's", "b")),)
    assert parse_sweep("""a="it's, so";b=1""") == (("a", ("it's, so",)), ("b", ("1",)))
    assert parse_sweep("a='',1") == (("a", ("", "1")),)
