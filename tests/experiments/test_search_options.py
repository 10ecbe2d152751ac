"""What may be asked of a search: stopping early, starting from another run, a page."""

import re
import shutil

import pytest
from absl.testing import flagsaver

from experiments import (
    _cli,
    _live_report,
    _search_options,
    search,
)
from spjax import data, genomes, report
from spjax import search as search_room
from tests.experiments import small, small_search


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    small_search.in_one_process(monkeypatch)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.npz"
    return data.load(small.write_npz(path))


def _stop_if_asked(spec, progress):
    """A trial without training that would end badly, where stopping is allowed."""
    answer = small.quick_trial(spec, progress)
    error = answer["validation_error"]
    predicted = spec.stops and spec.stops.verdict(1, 0.99)
    if predicted is None:
        return {**answer, "validation_curve": [error] * spec.config.epochs}
    del answer["validation_error"]
    return {**answer, "stopped": "after 1 of 3 epochs", "predicted_error": predicted}


def test_hopeless_trials_end_and_count_and_are_on_no_front(
    tmp_path, dataset, monkeypatch, capsys
):
    monkeypatch.setattr(search_room, "run_trial", _stop_if_asked)
    few = {"trials": 15, "epochs": 3}
    stopping = {**few, "algorithm": "random", "early_stopping": True}
    assert small_search.run(tmp_path / "whole", dataset, **stopping) == 0
    rows = small_search.rows(tmp_path / "whole")
    stopped = {row["index"] for row in rows if row["status"] == "stopped"}
    assert stopped and len({row["index"] for row in rows}) == 15
    front = small_search.read(tmp_path / "whole" / "front.json")["points"]
    assert not stopped & {str(point["index"]) for point in front}
    assert f"{len(stopped)} stopped early" in (
        tmp_path / "whole" / "report.html"
    ).read_text(encoding="utf-8")
    assert "stopped after 1 of 3 epochs" in capsys.readouterr().out
    # Interrupted after the first one that stopped, it goes on to the same end.
    after = int(min(stopped, key=int)) + 1
    calls = []

    def interrupted(spec, progress):
        if spec.index == after and not calls:
            calls.append(spec.index)
            raise KeyboardInterrupt
        return _stop_if_asked(spec, progress)

    monkeypatch.setattr(search_room, "run_trial", interrupted)
    parts = tmp_path / "parts"
    assert small_search.run(parts, dataset, **stopping) == _cli.EXIT_INTERRUPTED
    assert "1 stopped early" in (parts / "report.html").read_text(encoding="utf-8")
    assert small_search.run(parts, dataset, **stopping, resume=True) == 0
    kept = ("index", "status", "genome_id", "validation_error", "predicted_error")
    assert [[row[name] for name in kept] for row in small_search.rows(parts)] == [
        [row[name] for name in kept] for row in rows
    ]


def test_a_search_that_starts_from_another_one(tmp_path, dataset, monkeypatch, capsys):
    other, new = tmp_path / "other", tmp_path / "new"
    assert small_search.run(other, dataset, trials=5) == 0
    taken = {"warm_start": str(other), "initial_trials": 1, "random_share": 0.0}
    inits = {}

    def trial(spec, progress):
        inits[spec.index] = spec.init
        return small.quick_trial(spec, progress)

    monkeypatch.setattr(search_room, "run_trial", trial)
    capsys.readouterr()
    assert small_search.run(new, dataset, trials=6, **taken) == 0
    shown = capsys.readouterr().out
    assert f"note: --warm_start={other}: 5 trials were taken over" in shown
    assert "its images are others" not in shown
    rows = {int(row["index"]): row for row in small_search.rows(new)}
    assert sorted(rows) == list(range(6))
    old = {row["genome_id"] for row in small_search.rows(other)}
    assert not old & {row["genome_id"] for row in rows.values()}
    heirs = {i for i, row in rows.items() if row["parent"].startswith("-")}
    assert heirs
    for i in heirs:
        k = -1 - int(rows[i]["parent"])
        source = search_room.trial_folder(other, k) / "weights.npz"
        with open(inits[i], "rb") as file:
            assert file.read() == source.read_bytes()
    page = (new / "report.html").read_text(encoding="utf-8")
    assert "earlier " in page
    # What was copied is enough to go on.
    shutil.rmtree(other)
    assert small_search.run(new, dataset, trials=7, resume=True, **taken) == 0


def test_a_warm_start_that_cannot_be(tmp_path, dataset):
    other, new = tmp_path / "other", tmp_path / "new"
    assert small_search.run(other, dataset, trials=3) == 0
    for folder, options, message in (
        (other, {"memory_model": "live_bytes"}, "minimised .*input_output, not"),
        (tmp_path / "none", {}, "holds no run"),
    ):
        with pytest.raises(
            _cli.UsageError, match=f"--warm_start={folder}: .*{message}"
        ):
            small_search.run(new, dataset, warm_start=str(folder), **options)
        assert not new.exists()


def test_the_report_is_there_while_the_search_runs(tmp_path, dataset, monkeypatch):
    pages = []

    def trial(spec, progress):
        page = tmp_path / "report.html"
        pages.append(page.read_text(encoding="utf-8") if page.exists() else None)
        return small.quick_trial(spec, progress)

    monkeypatch.setattr(search_room, "run_trial", trial)
    # Written whenever there is news: its share of the time is all of it.
    real = _live_report.LiveReport
    monkeypatch.setattr(
        _live_report, "LiveReport", lambda *given: real(*given, share=1.0)
    )
    assert small_search.run(tmp_path, dataset, live_report=True) == 0
    assert pages[0] is None
    for number, page in enumerate(pages[1:], start=1):
        assert "this page reloads itself" in page
        assert f"{number} trial{'s' * (number > 1)} ·" in page
    final = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "this page reloads itself" not in final and "4 trials" in final


def test_a_report_that_cannot_be_written_does_not_stop_the_search(
    tmp_path, dataset, capsys
):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(report.ReportError, match=r"cannot write .*report\.html"):
        small_search.run(tmp_path, dataset, live_report=True)
    assert capsys.readouterr().out.count("no live report any more: cannot write") == 1
    (tmp_path / "report.html").rmdir()
    assert small_search.run(tmp_path, dataset, live_report=True, resume=True) == 0
    assert len(small_search.rows(tmp_path)) == 4


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (True, 10, None, True)),
        ({"early_stopping": "false"}, (False, 10, None, True)),
        ({"algorithm": "nsga2"}, (False, 10, None, True)),
        ({"algorithm": "nsga2", "early_stopping": "true"}, (True, 10, None, True)),
        ({"warm_start": "x", "live_report": "false"}, (True, 1, "x", False)),
        ({"warm_start": "x", "initial_trials": "4"}, (True, 4, "x", True)),
    ],
)
def test_what_the_flags_ask_for(tmp_path, monkeypatch, given, expected):
    path = small.write_npz(tmp_path / "small.npz")
    found = small_search.options_taken(monkeypatch)
    with flagsaver.as_parsed(dataset=path, run_dir=str(tmp_path / "run"), **given):
        assert search.main([]) == 0
    (options,) = found
    got = (options.early_stopping, options.initial_trials)
    assert (*got, options.warm_start, options.live_report) == expected


def test_a_warm_start_without_effect_is_refused(tmp_path):
    with (
        flagsaver.as_parsed(warm_start="x", algorithm="qlognehvi"),
        pytest.raises(_cli.UsageError, match="--warm_start=x has no effect"),
    ):
        search.main([])


@pytest.mark.parametrize("kinds", ["weigth", "weight,weight", ""])
def test_unknown_kinds_of_pruning(kinds):
    with pytest.raises(_cli.UsageError, match=f"--pruning={kinds}: give some of none"):
        _search_options.bounds_of(kinds)


def test_kinds_of_pruning_make_the_space():
    assert _search_options.bounds_of("none,weight,channel") == genomes.Bounds()
    bounds = _search_options.bounds_of("variational, bayesian")
    assert bounds.pruning == ("variational", "bayesian") and bounds.sparsity[0] > 0


def test_other_ranges_make_another_space():
    text = "downsample=2; kernel=3..5 ;paddings=same;relu=True;reduction=.5,0.25;"
    bounds = _search_options.bounds_of("weight", text + "learning_rate=1e-3..0.02")
    assert bounds == genomes.Bounds(
        downsample=(2, 2),
        kernel=(3, 5),
        paddings=("SAME",),
        relu=(True,),
        reduction=(0.5, 0.25),
        learning_rate=(0.001, 0.02),
        pruning=("weight",),
        sparsity=(0.1, genomes.Bounds.sparsity[1]),
    )
    assert _search_options.bounds_of("none", "") == genomes.Bounds(pruning=("none",))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kernels=3", "'kernels=3' should be GENE=VALUES, each gene once, of: batch"),
        ("kernel=3;kernel=4", "'kernel=4' should be GENE=VALUES, each gene once"),
        ("pruning=weight", "Kinds of pruning are given by --pruning"),
        ("kernel", "'kernel' should be GENE=VALUES"),
        ("kernel=3-5", "kernel=3-5: '3-5' is not a whole number; a range is LOW..HIGH"),
        ("learning_rate=fast", "'fast' is not a number"),
        ("kernel=5..3", r"bounds.kernel = \(5, 3\) must be a tuple \(lowest, highest"),
        ("conv_kinds=dense", "'dense' is none of regular, separable, downsampled"),
        ("relu=yes", "'yes' is none of true, false"),
        ("relu=true,true", "repeats a choice"),
    ],
)
def test_a_space_that_is_none_is_refused(text, why):
    with pytest.raises(_cli.UsageError, match=f"^--space={re.escape(text)}: .*{why}"):
        _search_options.bounds_of("none,weight", text)


def test_a_search_stays_within_its_space(tmp_path, dataset):
    bounds = _search_options.bounds_of(
        "none,weight,channel", "downsample=2;kernel=1..3"
    )
    assert small_search.run(tmp_path / "run", dataset, trials=8, bounds=bounds) == 0
    found = [
        genomes.from_json(r["genome"]) for r in small_search.rows(tmp_path / "run")
    ]
    assert len(found) >= 8 and {genome.downsample for genome in found} == {2}
    kernels = {c.kernel for g in found for b in g.blocks for c in b.convs}
    assert kernels <= {1, 2, 3} and len(kernels) > 1


def test_epochs_shrink_with_the_number_of_images():
    epochs = [
        _search_options.epochs_for(count) for count in (10, 1000, 10**5, 10**6, 10**9)
    ]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == epochs[1] > epochs[3] and epochs[-1] >= 1


def test_the_folder_of_compiled_programs(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    wanted = str(tmp_path / "a" / "b")
    assert _search_options.cache_folder(wanted) == wanted
    with pytest.raises(_cli.UsageError, match="--cache_dir=.*/file cannot be made"):
        _search_options.cache_folder(str(tmp_path / "file"))
    # Without its own folder a search goes on; it compiles more.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert _search_options.cache_folder(None) is None
    assert capsys.readouterr().out.startswith("note: ")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _search_options.cache_folder(None) == str(tmp_path / "spjax" / "xla")
