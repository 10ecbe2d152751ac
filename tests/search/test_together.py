"""Trials trained as one population leave what each would have left alone."""

import dataclasses
import errno
import json

import numpy as np
import pytest

from spjax import data, genomes, networks, search, training
from spjax.search import early_stop, together
from spjax.search.errors import SearchError

_GENOME = genomes.Genome(
    blocks=(
        genomes.Block(
            convs=(genomes.Conv(channels=6, kernel=3, stride=2),),
            pool=genomes.Pool("max", 2),
        ),
    ),
)
_GENES = (
    genomes.Training(1e-2, "weight", 0.5),
    genomes.Training(5e-3, "channel", 0.4),
    genomes.Training(2e-2, "none", 0.0),
)
_CONFIG = training.TrainConfig(epochs=2, batch_size=32, seed=3)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data.save_arrays(data.load("digits"), search.data_folder(folder))
    return folder


def _spec(run_dir, index, genes, **changes):
    text = genomes.to_json(dataclasses.replace(_GENOME, training=genes))
    fields = {"config": _CONFIG, **changes}
    return search.TrialSpec(str(run_dir), index, text, **fields)


@pytest.fixture(scope="module")
def trained(run_dir):
    """Two at once that inherit weights, and the same ones alone."""
    weights = run_dir / "parent.npz"
    networks.save_tree(weights, networks.init_variables(_GENOME, (8, 8, 1), 10, 55))
    inherit = {"init": str(weights)}
    specs = [_spec(run_dir, i, genes, **inherit) for i, genes in enumerate(_GENES[:2])]
    told = []
    events = search.run_trials(specs, told.append)
    alone = [
        search.run_trial(dataclasses.replace(spec, index=spec.index + 10))
        for spec in specs
    ]
    return events, told, alone


def test_each_trial_is_what_it_would_be_alone(run_dir, trained):
    events, told, alone = trained
    assert [(e.kind, e.task) for e in events] == [("result", 0), ("result", 1)]
    for event, other in zip(events, alone, strict=True):
        found = event.content
        assert set(found) == set(other)
        for name in ("validation_error", "sparsity", "seconds"):
            close = 60.0 if name == "seconds" else 0.01
            assert found[name] == pytest.approx(other[name], abs=close)
        np.testing.assert_allclose(
            found["validation_curve"], other["validation_curve"], atol=0.01
        )
        for name in ("model_size_nonzero", "planned_arena", "macs"):
            assert found[name] == pytest.approx(other[name], rel=0.02)
        assert len(found["readings"]) == len(other["readings"]) > 0
        for reading, expected in zip(found["readings"], other["readings"], strict=True):
            error, asked = (reading[n] for n in ("validation_error", "asked_sparsity"))
            assert asked == expected["asked_sparsity"]
            assert error == pytest.approx(expected["validation_error"], abs=0.03)
        # The same files, with the same names.
        folders = [search.trial_folder(run_dir, event.task + i) for i in (0, 10)]
        left, right = (
            sorted(str(p.relative_to(f)) for p in f.rglob("*")) for f in folders
        )
        assert left == right and "result.json" in left and "readings" in left
        stored = json.loads((folders[0] / "result.json").read_text())
        assert stored == found
        genome = genomes.from_json((folders[0] / "genome.json").read_text())
        assert genome.training == _GENES[event.task]
        weights = [
            networks.flatten(networks.load_tree(f / "weights.npz")["params"])
            for f in folders
        ]
        for name, array in weights[0].items():
            far = np.abs(array - weights[1][name]) > 1e-3
            assert far.mean() < 0.05


def test_everything_is_told_as_soon_as_it_is_known(trained):
    events, told, _ = trained
    kinds = [(event.kind, event.task) for event in told]
    epochs = [("progress", 0), ("progress", 1)]
    assert kinds == [*epochs, *epochs, ("result", 0), ("result", 1)]
    assert tuple(told[-2:]) == events
    for event, last in zip(events, told[2:4], strict=True):
        seen = {"epoch": 2, "epochs": 2}
        seen["validation_error"] = event.content["validation_error"]
        assert last.content == seen
        # A share of the training, and what was done for the trial alone.
        content = event.content
        assert 0 < content["seconds_setup"] < content["seconds_train"]
        assert content["seconds_train"] < content["seconds"]


def test_mishaps_of_one_trial_are_its_own(run_dir, monkeypatch):
    def finish(spec, *given):
        if spec.index == 21:
            raise ValueError("odd weights")
        if spec.index == 23:
            raise OSError(errno.ENOSPC, "No space left on device")
        return {"index": spec.index}

    monkeypatch.setattr(together, "finish_trial", finish)
    config = dataclasses.replace(_CONFIG, epochs=1)
    specs = [
        _spec(run_dir, 20 + i, genes, config=config, further=False)
        for i, genes in enumerate(_GENES)
    ]
    events = search.run_trials(specs)
    assert [event.kind for event in events] == ["result", "error", "result"]
    assert events[1].content == "ValueError: odd weights"
    assert "in finish" in events[1].traceback
    # The system's refusal is not the trial's: what was told before stays told.
    told = []
    specs = [dataclasses.replace(spec, index=spec.index + 2) for spec in specs]
    with pytest.raises(OSError, match="No space"):
        search.run_trials(specs, told.append)
    assert [(e.kind, e.task) for e in told if e.kind != "progress"] == [("result", 22)]


def test_what_cannot_be_trained_together(run_dir):
    first = _spec(run_dir, 30, _GENES[0])
    wide = dataclasses.replace(_GENOME, dense=(8,), training=_GENES[1])
    for other in (
        dataclasses.replace(first, index=31, genome=genomes.to_json(wide)),
        _spec(run_dir, 31, _GENES[1], config=dataclasses.replace(_CONFIG, epochs=3)),
    ):
        with pytest.raises(SearchError, match="trials 30 and 31 cannot be trained"):
            search.run_trials([first, other])
    rung = early_stop.Rung(1, (0.0, 1.0), (0.01, 0.0, 0.0))
    stops = early_stop.StopTable(0.1, (rung,))
    with pytest.raises(SearchError, match="trial 31 may stop early"):
        search.run_trials([first, _spec(run_dir, 31, _GENES[1], stops=stops)])
    with pytest.raises(SearchError, match="no trials"):
        search.run_trials([])
    noisy = _spec(run_dir, 31, genomes.Training(1e-2, "bayesian", 0.5))
    with pytest.raises(training.TrainingError, match="member 1 has pruning='bayesian'"):
        search.run_trials([first, noisy])
