"""How a search ends, well and otherwise; trials without training, in one process."""

import dataclasses
import shutil
import signal

import pytest
from absl.testing import flagsaver

from experiments import (
    _cli,
    _interrupts,
    _picked,
    _run_folder,
    _search_run,
    search,
)
from spjax import data, report
from spjax import search as search_room
from tests.experiments import small, small_search

assert search  # Defines the flags.


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    small_search.in_one_process(monkeypatch)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.npz"
    return data.load(small.write_npz(path))


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
    assert small_search.run(tmp_path, counted) == _cli.EXIT_INTERRUPTED
    shown = capsys.readouterr().out
    assert "interrupted: 2 trial(s) are stored" in shown
    assert f"-m experiments.search --run_dir={tmp_path} --resume" in shown
    front = small_search.read(tmp_path / "front.json")
    assert front["header"]["unfinished"] is True and front["points"]
    assert all("test_error" not in point for point in front["points"])
    assert len(small_search.rows(tmp_path)) == 2

    def trial(spec, progress):
        log.append(spec.index)
        return small.quick_trial(spec, progress)

    monkeypatch.setattr(search_room, "run_trial", trial)
    assert small_search.run(tmp_path, counted, resume=True) == 0
    # The test split is read once, when all trials have ended.
    assert log == [2, 3, "test"]
    front = small_search.read(tmp_path / "front.json")
    assert "unfinished" not in front["header"]
    assert all(0 <= point["test_error"] <= 1 for point in front["points"])
    rows = small_search.rows(tmp_path)
    assert [row["index"] for row in rows] == ["0", "1", "2", "3"]
    assert len({row["genome_id"] for row in rows}) == 4

    # Once more: nothing to do but to write the results. Then two trials more.
    assert small_search.run(tmp_path, counted, resume=True) == 0
    assert log == [2, 3, "test"] and small_search.rows(tmp_path) == rows
    assert small_search.run(tmp_path, counted, resume=True, trials=6) == 0
    assert log[3:5] == [4, 5]
    more = small_search.rows(tmp_path)
    assert [row["index"] for row in more] == list("012345")
    for old, new in zip(rows, more, strict=False):
        changing = {"on_front", "test_error", "files"}
        assert {k: v for k, v in old.items() if k not in changing} == {
            k: v for k, v in new.items() if k not in changing
        }
    points = small_search.read(tmp_path / "front.json")["points"]
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
    assert small_search.run(tmp_path, dataset) == 0
    front = small_search.read(tmp_path / "front.json")
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
    keys = [
        (int(row["index"]), int(row["reading"])) for row in small_search.rows(tmp_path)
    ]
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


def test_no_more_workers_than_trials(tmp_path, dataset, monkeypatch):
    started = []

    class Pool(small.OneProcess):
        def __init__(self, count, *arguments):
            started.append(count)
            super().__init__(count, *arguments)

    monkeypatch.setattr(search_room, "WorkerPool", Pool)
    assert small_search.run(tmp_path, dataset, trials=1, workers=1000) == 0
    assert small_search.run(tmp_path, dataset, trials=1, workers=1000, resume=True) == 0
    assert small_search.run(tmp_path, dataset, trials=3, workers=1000, resume=True) == 0
    assert started == [1, 2]


def test_a_full_disk_costs_no_trial(tmp_path, dataset, monkeypatch, capsys):
    _raise_at(monkeypatch, 1, OSError(28, "No space left on device"))
    with pytest.raises(search_room.SearchError, match="trial 1 .*No space.* resume"):
        small_search.run(tmp_path, dataset)
    assert "stopped by an error: 1 trial(s) are stored" in capsys.readouterr().out
    assert [row["status"] for row in small_search.rows(tmp_path)] == ["completed"]
    assert small_search.run(tmp_path, dataset, resume=True) == 0
    assert [row["status"] for row in small_search.rows(tmp_path)] == ["completed"] * 4


def test_results_that_cannot_be_written_are_written_later(tmp_path, dataset):
    (tmp_path / "front.json").mkdir()  # No file can take its place.
    with pytest.raises(report.ReportError, match=r"cannot write .*front\.json"):
        small_search.run(tmp_path, dataset, trials=2)
    (tmp_path / "front.json").rmdir()
    assert small_search.run(tmp_path, dataset, trials=2, resume=True) == 0
    assert (
        len(small_search.rows(tmp_path)) == 2
        and small_search.read(tmp_path / "front.json")["points"]
    )


def test_interrupted_before_any_trial_has_ended(tmp_path, dataset, monkeypatch):
    _raise_at(monkeypatch, 0, KeyboardInterrupt())
    assert small_search.run(tmp_path, dataset, trials=1) == _cli.EXIT_INTERRUPTED
    assert not (tmp_path / "front.json").exists()
    assert small_search.run(tmp_path, dataset, trials=1, resume=True) == 0


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
    rows = small_search.rows(tmp_path)
    front = small_search.read(tmp_path / "front.json")
    if len(front["points"]) > 1:  # The first network was tested, no other.
        assert status == _cli.EXIT_INTERRUPTED and front["header"]["unfinished"]
    assert len(rows) == 3 and log == ["test"]


def test_limits_that_nothing_can_meet(tmp_path, dataset):
    impossible = dataclasses.replace(small.UNO, ram_bytes=1)
    with (
        flagsaver.as_parsed(ram_bytes="1"),
        pytest.raises(_cli.UsageError, match="^--board=uno --ram_bytes=1: no network"),
    ):
        small_search.run(tmp_path, dataset, impossible)
    # Nothing was searched: the folder is free for other limits.
    _run_folder.check_new(str(tmp_path))
    assert small_search.run(tmp_path, dataset, trials=1) == 0


def test_a_search_without_a_single_network_is_no_success(
    tmp_path, dataset, monkeypatch, capsys
):
    def trial(spec, progress):
        raise ValueError(f"odd network {spec.index}")

    monkeypatch.setattr(search_room, "run_trial", trial)
    assert small_search.run(tmp_path, dataset, trials=2) == _cli.EXIT_BUG
    error = capsys.readouterr().err
    assert error.startswith("error: --board=uno: none of 2 trial(s) fits")
    assert "odd network 0" in error and error.count("\n") == 1
    assert small_search.read(tmp_path / "front.json")["points"] == []
    assert small_search.read(tmp_path / "best.json")["point"] is None
    assert [row["status"] for row in small_search.rows(tmp_path)] == [
        "failed",
        "failed",
    ]


def test_a_run_goes_on_with_its_own_images_only(tmp_path, dataset):
    assert small_search.run(tmp_path / "run", dataset, trials=1) == 0
    # The same name, other contents.
    other = data.load(small.write_npz(tmp_path / "other.npz", seed=7))
    other = dataclasses.replace(other, name=dataset.name)
    with pytest.raises(_cli.UsageError, match=f"--dataset={dataset.name}: its images"):
        small_search.run(tmp_path / "run", other, trials=1, resume=True)
    with pytest.raises(_cli.UsageError, match=f"--run_dir={tmp_path}.*seed"):
        small_search.run(tmp_path / "run", dataset, trials=1, seed=1, resume=True)
    assert small_search.run(tmp_path / "run", dataset, trials=1, resume=True) == 0


def test_a_folder_in_use_and_folders_that_cannot_be(tmp_path, dataset):
    with (
        search_room.create(tmp_path / "run", search_room.Settings((8, 8, 1), 3)),
        pytest.raises(
            _cli.UsageError, match=f"--run_dir={tmp_path}/run: .*run already"
        ),
    ):
        small_search.run(tmp_path / "run", dataset)
    (tmp_path / "file").write_text("")
    with pytest.raises(_cli.UsageError, match="--run_dir=.*/file/run cannot be made"):
        small_search.run(tmp_path / "file" / "run", dataset)
