"""How a search ends, well and otherwise; trials without training, in one process."""

import csv
import dataclasses
import json
import shutil
import signal
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import (
    _cli,
    _interrupts,
    _live_report,
    _picked,
    _run_folder,
    _search_run,
    search,
)
from spjax import data, genomes, report
from spjax import search as search_room
from tests.experiments import small

assert search  # Defines the flags.


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["experiments.search"])
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["search"])
    monkeypatch.setattr(search_room, "WorkerPool", small.OneProcess)
    monkeypatch.setattr(search_room, "run_trial", small.quick_trial)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.npz"
    return data.load(small.write_npz(path))


def _search(run_dir, dataset, board=small.UNO, **options):
    if options.get("resume"):
        with flagsaver.as_parsed(run_dir=str(run_dir)):
            assert _run_folder.restore_flags(str(run_dir))
    options = dataclasses.replace(small.OPTIONS, **options)
    return _search_run.search_and_report(
        run_dir, dataset, board, options, _interrupts.Interrupts()
    )


def _json(path):
    return json.loads(path.read_text())


def _rows(run_dir):
    with open(run_dir / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def _raise_at(monkeypatch, index, error):
    """Makes trial ``index`` raise when it is first run."""
    left = [error]

    def trial(spec, progress):
        if spec.index == index and left:
            raise left.pop()
        return small.quick_trial(spec, progress)

    monkeypatch.setattr(search_room, "run_trial", trial)


def test_interrupted_and_resumed(tmp_path, dataset, monkeypatch, capsys):
    log = []
    counted = small.Counted(dataset, log).dataset
    _raise_at(monkeypatch, 2, KeyboardInterrupt())
    assert _search(tmp_path, counted) == _cli.EXIT_INTERRUPTED
    shown = capsys.readouterr().out
    assert "interrupted: 2 trial(s) are stored" in shown
    assert f"-m experiments.search --run_dir={tmp_path} --resume" in shown
    front = _json(tmp_path / "front.json")
    assert front["header"]["unfinished"] is True and front["points"]
    assert all("test_error" not in point for point in front["points"])
    assert len(_rows(tmp_path)) == 2

    def trial(spec, progress):
        log.append(spec.index)
        return small.quick_trial(spec, progress)

    monkeypatch.setattr(search_room, "run_trial", trial)
    assert _search(tmp_path, counted, resume=True) == 0
    # The test split is read once, when all trials have ended.
    assert log == [2, 3, "test"]
    front = _json(tmp_path / "front.json")
    assert "unfinished" not in front["header"]
    assert all(0 <= point["test_error"] <= 1 for point in front["points"])
    rows = _rows(tmp_path)
    assert [row["index"] for row in rows] == ["0", "1", "2", "3"]
    assert len({row["genome_id"] for row in rows}) == 4

    # Once more: nothing to do but to write the results. Then two trials more.
    assert _search(tmp_path, counted, resume=True) == 0
    assert log == [2, 3, "test"] and _rows(tmp_path) == rows
    assert _search(tmp_path, counted, resume=True, trials=6) == 0
    assert log[3:5] == [4, 5]
    more = _rows(tmp_path)
    assert [row["index"] for row in more] == list("012345")
    for old, new in zip(rows, more, strict=False):
        changing = {"on_front", "test_error", "files"}
        assert {k: v for k, v in old.items() if k not in changing} == {
            k: v for k, v in new.items() if k not in changing
        }
    points = _json(tmp_path / "front.json")["points"]
    assert {path.name for path in (tmp_path / "front").iterdir()} == {
        f"{point['index']:04d}" for point in points
    }


def test_readings_on_the_front_can_be_loaded_and_picked(tmp_path, dataset, monkeypatch):
    def trial(spec, progress):
        """Each network once more, a third the size and a little worse."""
        figures = small.quick_trial(spec, progress)
        own = search_room.deployed_folder(spec.run_dir, spec.index)
        further = search_room.deployed_folder(spec.run_dir, spec.index, 1)
        shutil.copytree(own, further, dirs_exist_ok=True)
        reading = {name: figures[name] for name in figures if name != "seconds"}
        reading["model_size_nonzero"] //= 3
        reading["validation_error"] += 0.01
        return {**figures, "readings": [{**reading, "threshold": 4.25}]}

    monkeypatch.setattr(search_room, "run_trial", trial)
    assert _search(tmp_path, dataset) == 0
    front = _json(tmp_path / "front.json")
    names = {f"{p['index']:04d}" + "-1" * p["reading"] for p in front["points"]}
    assert {path.name for path in (tmp_path / "front").iterdir()} == names
    further = [point for point in front["points"] if point["reading"]]
    assert further and all(point["threshold"] == 4.25 for point in further)
    for point in further:
        assert 0 <= point["test_error"] <= 1
        for path in point["files"].values():
            assert (tmp_path / path).is_file()
            assert path.startswith(f"front/{point['index']:04d}-1/")
    # One line a trial, and one for each further reading on the front.
    keys = [(int(row["index"]), int(row["reading"])) for row in _rows(tmp_path)]
    expected = {(i, 0) for i in range(4)} | {(p["index"], 1) for p in further}
    assert keys == sorted(expected)
    # The front, by comparing all eight points.
    every = [
        (row["validation_error"], row["model_size_nonzero"], row["input_output"])
        for record in search_room.spread(_stored(tmp_path))
        for row in [record]
    ]
    best = {a for a in every if not any(_beats(b, a) for b in every)}
    order = ("validation_error", "model_size_nonzero", "input_output")
    assert {tuple(p[name] for name in order) for p in front["points"]} == best
    index = further[0]["index"]
    picked = _picked.read_pick(str(tmp_path), f"{index}-1")
    assert (picked.index, picked.reading) == (index, 1)
    assert picked.figures["threshold"] == 4.25
    with pytest.raises(_picked.PickError, match="--pick=1-2-3"):
        _picked.read_pick(str(tmp_path), "1-2-3")


def _stored(run_dir):
    with search_room.load(run_dir) as study:
        return study.records()


def _beats(a, b):
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("kinds", ["weigth", "weight,weight", ""])
def test_unknown_kinds_of_pruning(kinds):
    with pytest.raises(_cli.UsageError, match=f"--pruning={kinds}: give some of none"):
        _search_run.bounds_of(kinds)


def test_kinds_of_pruning_make_the_space():
    assert _search_run.bounds_of("none,weight,channel") == genomes.Bounds()
    bounds = _search_run.bounds_of("variational, bayesian")
    assert bounds.pruning == ("variational", "bayesian") and bounds.sparsity[0] > 0


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
    options = {"trials": 18, "epochs": 3, "algorithm": "random"}
    assert _search(tmp_path / "all", dataset, **options) == 0
    assert {row["status"] for row in _rows(tmp_path / "all")} == {"completed"}
    stopping = {**options, "early_stopping": True}
    assert _search(tmp_path / "whole", dataset, **stopping) == 0
    rows = _rows(tmp_path / "whole")
    stopped = {row["index"] for row in rows if row["status"] == "stopped"}
    assert stopped and len({row["index"] for row in rows}) == 18
    front = _json(tmp_path / "whole" / "front.json")["points"]
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
    assert _search(parts, dataset, **stopping) == _cli.EXIT_INTERRUPTED
    assert "1 stopped early" in (parts / "report.html").read_text(encoding="utf-8")
    assert _search(parts, dataset, **stopping, resume=True) == 0
    kept = ("index", "status", "genome_id", "validation_error", "predicted_error")
    assert [[row[name] for name in kept] for row in _rows(parts)] == [
        [row[name] for name in kept] for row in rows
    ]


def test_a_search_that_starts_from_another_one(tmp_path, dataset, monkeypatch, capsys):
    other, new = tmp_path / "other", tmp_path / "new"
    assert _search(other, dataset, trials=5) == 0
    taken = {"warm_start": str(other), "initial_trials": 1, "random_share": 0.0}
    inits = {}

    def trial(spec, progress):
        inits[spec.index] = spec.init
        return small.quick_trial(spec, progress)

    monkeypatch.setattr(search_room, "run_trial", trial)
    capsys.readouterr()
    assert _search(new, dataset, trials=6, **taken) == 0
    shown = capsys.readouterr().out
    assert f"note: --warm_start={other}: 5 trials were taken over" in shown
    assert "its images are others" not in shown
    rows = {int(row["index"]): row for row in _rows(new)}
    assert sorted(rows) == list(range(6))
    old = {row["genome_id"] for row in _rows(other)}
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
    assert _search(new, dataset, trials=7, resume=True, **taken) == 0


def test_a_warm_start_that_cannot_be(tmp_path, dataset):
    other, new = tmp_path / "other", tmp_path / "new"
    assert _search(other, dataset, trials=3) == 0
    for folder, options, message in (
        (other, {"memory_model": "live_bytes"}, "minimised .*input_output, not"),
        (tmp_path / "none", {}, "holds no run"),
    ):
        with pytest.raises(
            _cli.UsageError, match=f"--warm_start={folder}: .*{message}"
        ):
            _search(new, dataset, warm_start=str(folder), **options)
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
    assert _search(tmp_path, dataset, live_report=True) == 0
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
        _search(tmp_path, dataset, live_report=True)
    assert capsys.readouterr().out.count("no live report any more: cannot write") == 1
    (tmp_path / "report.html").rmdir()
    assert _search(tmp_path, dataset, live_report=True, resume=True) == 0
    assert len(_rows(tmp_path)) == 4


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
    found = []

    def take(run_dir, dataset, board, options, interrupts):
        found.append(options)
        return 0

    monkeypatch.setattr(_search_run, "search_and_report", take)
    monkeypatch.setattr(_interrupts.Interrupts, "install", lambda self: None)
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


def test_no_more_workers_than_trials(tmp_path, dataset, monkeypatch):
    started = []

    class Pool(small.OneProcess):
        def __init__(self, count, *arguments):
            started.append(count)
            super().__init__(count, *arguments)

    monkeypatch.setattr(search_room, "WorkerPool", Pool)
    assert _search(tmp_path, dataset, trials=1, workers=1000) == 0
    assert _search(tmp_path, dataset, trials=1, workers=1000, resume=True) == 0
    assert _search(tmp_path, dataset, trials=3, workers=1000, resume=True) == 0
    assert started == [1, 2]


def test_a_full_disk_costs_no_trial(tmp_path, dataset, monkeypatch, capsys):
    _raise_at(monkeypatch, 1, OSError(28, "No space left on device"))
    with pytest.raises(search_room.SearchError, match="trial 1 .*No space.* resume"):
        _search(tmp_path, dataset)
    assert "stopped by an error: 1 trial(s) are stored" in capsys.readouterr().out
    assert [row["status"] for row in _rows(tmp_path)] == ["completed"]
    assert _search(tmp_path, dataset, resume=True) == 0
    assert [row["status"] for row in _rows(tmp_path)] == ["completed"] * 4


def test_results_that_cannot_be_written_are_written_later(tmp_path, dataset):
    (tmp_path / "front.json").mkdir()  # No file can take its place.
    with pytest.raises(report.ReportError, match=r"cannot write .*front\.json"):
        _search(tmp_path, dataset, trials=2)
    (tmp_path / "front.json").rmdir()
    assert _search(tmp_path, dataset, trials=2, resume=True) == 0
    assert len(_rows(tmp_path)) == 2 and _json(tmp_path / "front.json")["points"]


def test_interrupted_before_any_trial_has_ended(tmp_path, dataset, monkeypatch):
    _raise_at(monkeypatch, 0, KeyboardInterrupt())
    assert _search(tmp_path, dataset, trials=1) == _cli.EXIT_INTERRUPTED
    assert not (tmp_path / "front.json").exists()
    assert _search(tmp_path, dataset, trials=1, resume=True) == 0


def test_interrupted_while_it_is_set_up(tmp_path, dataset, monkeypatch, capsys):
    interrupts = _interrupts.Interrupts()

    def save_arrays(*_):
        interrupts._handle(signal.SIGINT, None)

    monkeypatch.setattr(data, "save_arrays", save_arrays)
    status = _search_run.search_and_report(
        tmp_path, dataset, small.UNO, small.OPTIONS, interrupts
    )
    assert status == _cli.EXIT_INTERRUPTED
    assert "interrupted" in capsys.readouterr().out


def test_interrupted_while_results_are_written(tmp_path, dataset, monkeypatch):
    interrupts = _interrupts.Interrupts()
    log = []

    def read():
        interrupts._handle(signal.SIGINT, None)
        log.append("test")
        return dataset.test()

    options = dataclasses.replace(small.OPTIONS, trials=3)
    slow = dataclasses.replace(dataset, read_test=read)
    status = _search_run.search_and_report(
        tmp_path, slow, small.UNO, options, interrupts
    )
    rows = _rows(tmp_path)
    front = _json(tmp_path / "front.json")
    if len(front["points"]) > 1:  # The first network was tested, no other.
        assert status == _cli.EXIT_INTERRUPTED and front["header"]["unfinished"]
    assert len(rows) == 3 and log == ["test"]


def test_limits_that_nothing_can_meet(tmp_path, dataset):
    impossible = dataclasses.replace(small.UNO, ram_bytes=1)
    with (
        flagsaver.as_parsed(ram_bytes="1"),
        pytest.raises(_cli.UsageError, match="^--board=uno --ram_bytes=1: no network"),
    ):
        _search(tmp_path, dataset, impossible)
    # Nothing was searched: the folder is free for other limits.
    _run_folder.check_new(str(tmp_path))
    assert _search(tmp_path, dataset, trials=1) == 0


def test_a_search_without_a_single_network_is_no_success(
    tmp_path, dataset, monkeypatch, capsys
):
    def trial(spec, progress):
        raise ValueError(f"odd network {spec.index}")

    monkeypatch.setattr(search_room, "run_trial", trial)
    assert _search(tmp_path, dataset, trials=2) == _cli.EXIT_BUG
    error = capsys.readouterr().err
    assert error.startswith("error: --board=uno: none of 2 trial(s) fits")
    assert "odd network 0" in error and error.count("\n") == 1
    assert _json(tmp_path / "front.json")["points"] == []
    assert _json(tmp_path / "best.json")["point"] is None
    assert [row["status"] for row in _rows(tmp_path)] == ["failed", "failed"]


def test_a_run_goes_on_with_its_own_images_only(tmp_path, dataset):
    assert _search(tmp_path / "run", dataset, trials=1) == 0
    # The same name, other contents.
    other = data.load(small.write_npz(tmp_path / "other.npz", seed=7))
    other = dataclasses.replace(other, name=dataset.name)
    with pytest.raises(_cli.UsageError, match=f"--dataset={dataset.name}: its images"):
        _search(tmp_path / "run", other, trials=1, resume=True)
    with pytest.raises(_cli.UsageError, match=f"--run_dir={tmp_path}.*seed"):
        _search(tmp_path / "run", dataset, trials=1, seed=1, resume=True)
    assert _search(tmp_path / "run", dataset, trials=1, resume=True) == 0


def test_a_folder_in_use_and_folders_that_cannot_be(tmp_path, dataset):
    with (
        search_room.create(tmp_path / "run", search_room.Settings((8, 8, 1), 3)),
        pytest.raises(
            _cli.UsageError, match=f"--run_dir={tmp_path}/run: .*run already"
        ),
    ):
        _search(tmp_path / "run", dataset)
    (tmp_path / "file").write_text("")
    with pytest.raises(_cli.UsageError, match="--run_dir=.*/file/run cannot be made"):
        _search(tmp_path / "file" / "run", dataset)


def test_epochs_shrink_with_the_number_of_images():
    epochs = [
        _search_run.epochs_for(count) for count in (10, 1000, 10**5, 10**6, 10**9)
    ]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == epochs[1] > epochs[3] and epochs[-1] >= 1


def test_the_folder_of_compiled_programs(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    wanted = str(tmp_path / "a" / "b")
    assert _search_run._cache_folder(wanted) == wanted
    with pytest.raises(_cli.UsageError, match="--cache_dir=.*/file cannot be made"):
        _search_run._cache_folder(str(tmp_path / "file"))
    # Without its own folder a search goes on; it compiles more.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert _search_run._cache_folder(None) is None
    assert capsys.readouterr().out.startswith("note: ")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _search_run._cache_folder(None) == str(tmp_path / "spjax" / "xla")
