"""The page of a running search: what it shows, and how seldom it is written."""

import pytest

from experiments import _live_report, _network_facts, _results
from spjax import data, genomes, report, search
from tests.experiments import small

pytestmark = pytest.mark.filterwarnings("ignore::Warning")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.npz"
    return data.load(small.write_npz(path))


@pytest.fixture
def study(tmp_path, dataset):
    settings = search.Settings(
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        memory_model="input_output",
        limits=(("input_output", 2048), ("model_size_nonzero", 32768)),
        algorithm="random",
    )
    data.save_arrays(dataset, search.data_folder(tmp_path))
    with search.create(tmp_path, settings) as study:
        yield study


def _head(dataset):
    return _results.header(
        dataset,
        small.UNO,
        memory_model="input_output",
        size_model="nonzero",
        seed=0,
        flags={},
        started="2026-01-01T00:00:00+00:00",
    )


def _end(study, count=1):
    for _ in range(count):
        trial = study.propose()
        text = genomes.to_json(trial.genome)
        spec = search.TrialSpec(str(study.run_dir), trial.index, text, config=None)
        figures = small.quick_trial(spec, lambda _: None)
        study.complete(trial.index, figures)


def test_the_page_shows_the_front_of_the_trials_that_have_ended(study, dataset):
    _end(study, 4)
    study.propose()  # Under way: not shown.
    live = _live_report.LiveReport(study, _head(dataset), dataset)
    live.write()
    text = (study.run_dir / "report.html").read_text(encoding="utf-8")
    rows = _live_report.rows_of(study)
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    front = [row for row in rows if row["on_front"]]
    assert text.count('<details class="card') == len(front) > 0
    assert text.count('aria-label="memory by step"') == len(front)
    assert "reloads itself" in text and "4 trials" in text
    volumes = [row["hypervolume"] for row in rows]
    assert volumes == sorted(volumes) and volumes[-1] > 0


def test_the_page_waits_for_workers_to_be_busy_and_takes_its_share_of_time(
    study, dataset, monkeypatch
):
    clock, written, seconds = [0.0], [], [0.2]
    monkeypatch.setattr(_live_report.time, "perf_counter", lambda: clock[0])
    live = _live_report.LiveReport(study, _head(dataset), dataset, share=0.01)

    def write():
        live._news = False
        written.append(clock[0])
        clock[0] += seconds[0]

    monkeypatch.setattr(live, "write", write)

    def event(kind, at):
        clock[0] = max(clock[0], at)
        live.show(search.TrialEvent(kind, 0))

    event("started", 0)
    assert written == []  # Nothing has ended.
    event("completed", 10)
    assert written == []  # A worker waits.
    event("started", 10)
    assert written == [10]
    event("stopped", 20)
    event("tick", 10.2 + 19.8 - 0.1)
    assert written == [10]
    event("progress", 30.1)
    assert written == [10, 30.1]
    event("tick", 100)
    assert written == [10, 30.1]  # No news.
    event("failed", 1000)
    seconds[0] = 5.0
    event("tick", 1000)
    event("completed", 1001)
    event("tick", 1064)
    assert written == [10, 30.1, 1000]
    event("tick", 1065)  # Once a minute whatever it takes.
    assert written == [10, 30.1, 1000, 1065]


def test_an_analysis_is_made_once(study, dataset, monkeypatch):
    calls = []
    facts_of = _network_facts.facts_of

    def counted(run_dir, index, reading, dataset):
        calls.append((index, reading))
        return facts_of(run_dir, index, reading, dataset)

    monkeypatch.setattr(_network_facts, "facts_of", counted)
    live = _live_report.LiveReport(study, _head(dataset), dataset)
    _end(study, 3)
    live.write()
    _end(study, 1)
    live.write()
    assert calls and len(calls) == len(set(calls))


def test_a_writing_does_not_wait_for_many_analyses(study, dataset, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(_live_report.time, "perf_counter", lambda: clock[0])
    facts_of = _network_facts.facts_of

    def slow(*given):
        clock[0] += 0.15
        return facts_of(*given)

    monkeypatch.setattr(_network_facts, "facts_of", slow)
    live = _live_report.LiveReport(study, _head(dataset), dataset)
    _end(study, 12)
    front = sum(row["on_front"] for row in _live_report.rows_of(study))
    assert front >= 3
    live.show(search.TrialEvent("completed", 0))
    shown = []
    for _ in range(front):
        clock[0] += 100
        live.show(search.TrialEvent("tick"))
        text = (study.run_dir / "report.html").read_text(encoding="utf-8")
        assert text.count('<details class="card') == front
        shown.append(text.count('aria-label="memory by step"'))
    # Two at a time, without further news.
    assert shown[0] == 2 and shown == [min(2 * n, front) for n in range(1, front + 1)]


def test_facts_agree_with_the_figures_of_the_trial(study, dataset):
    _end(study, 2)
    for row in study.records():
        layers, timeline = _network_facts.facts_of(
            study.run_dir, row["index"], 0, dataset
        )
        assert max(r["input_output"] for r in layers) == row["input_output"]
        assert timeline["arena"] == row["planned_arena"]
        assert max(timeline["alive"]) <= timeline["arena"]
        # The bytes alive, from the buffers: a byte that two share counts once.
        for step, alive in enumerate(timeline["alive"]):
            used = set()
            for b in timeline["buffers"]:
                if b["first"] <= step <= b["last"]:
                    used |= set(range(b["offset"], b["offset"] + b["bytes"]))
            assert len(used) == alive
        assert sum(b["given"] for b in timeline["buffers"]) == 1
        assert report.timeline_svg(timeline)


def test_a_missing_file_is_an_error_that_can_be_caught(study, dataset):
    _end(study, 1)
    (search.deployed_folder(study.run_dir, 0) / "weights.npz").unlink()
    live = _live_report.LiveReport(study, _head(dataset), dataset)
    with pytest.raises(report.ReportError, match="trial 0: .*weights.npz"):
        live.write()
