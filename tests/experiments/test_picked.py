"""Which network of a run is deployed, and on which data."""

import json
import shutil

import numpy as np
import pytest

from experiments import _picked
from spjax import networks, report
from tests.experiments import deployed_run, small
from tests.experiments.deployed_run import run_dir  # noqa: F401


def _message(run, pick):
    with pytest.raises(_picked.PickError) as caught:
        _picked.read_pick(str(run), pick)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_best_is_the_pick_and_so_is_its_number(run_dir):  # noqa: F811
    best = _picked.read_pick(str(run_dir), "best")
    assert best.index == deployed_run.INDEX and best.genome == deployed_run.GENOME
    assert best.figures["validation_error"] == 0.25
    same = _picked.read_pick(str(run_dir), "7")
    flat = networks.flatten(best.variables)
    for name, array in networks.flatten(same.variables).items():
        np.testing.assert_array_equal(array, flat[name])
    assert _picked.load_dataset(best, None).test_size == 45


def test_the_front_alone_is_enough(run_dir, tmp_path):  # noqa: F811
    """A run that was moved without its trials can still be deployed."""
    for name in ("best.json", "front.json"):
        shutil.copy(run_dir / name, tmp_path)
    trial = run_dir / "trials" / "0007" / "deployed"
    shutil.copytree(trial, tmp_path / "front" / "0007")
    assert _picked.read_pick(str(tmp_path), "best").genome == deployed_run.GENOME


def test_runs_and_picks_that_are_not_there(run_dir, tmp_path):  # noqa: F811
    assert "--run_dir=/no/run holds no finished run" in _message("/no/run", "best")
    assert "experiments.search" in _message(tmp_path, "best")
    message = _message(run_dir, "3")
    assert message.startswith("--pick=3") and message.endswith("it has 7")
    assert "give `best` or a trial's number" in _message(run_dir, "worst")
    assert "--pick=-1" in _message(run_dir, "-1")


def test_a_run_in_which_nothing_fits(run_dir, tmp_path):  # noqa: F811
    best = report.read_json(run_dir / "best.json")
    best |= {"point": None, "reason": "no trial fits uno"}
    (tmp_path / "best.json").write_text(json.dumps(best))
    message = _message(tmp_path, "best")
    assert "no best network (no trial fits uno)" in message and "--pick=" in message


def _without_pick(run_dir, folder, errors):  # noqa: F811
    """A run whose front has networks with such validation errors, and no pick."""
    front = report.read_json(run_dir / "front.json")
    (point,) = front["points"]
    front["points"] = []
    for index, error in errors.items():
        front["points"].append({**point, "index": index, "validation_error": error})
        network = run_dir / "trials" / "0007" / "deployed"
        shutil.copytree(network, folder / "trials" / f"{index:04d}" / "deployed")
    (folder / "front.json").write_text(json.dumps(front))
    best = report.read_json(run_dir / "best.json")
    best |= {"point": None, "reason": "no trial fits uno"}
    (folder / "best.json").write_text(json.dumps(best))


def test_best_may_be_one_that_fits_after_all(run_dir, tmp_path, capsys):  # noqa: F811
    _without_pick(run_dir, tmp_path, {3: 0.3, 4: 0.1, 5: 0.2, 6: 0.4})
    asked = []

    def fits(picked):
        asked.append(picked.index)
        return f"as {picked.index}" if picked.index in (3, 5) else None

    picked = _picked.read_pick(str(tmp_path), "best", fits)
    assert picked.index == 5 and asked == [4, 5]
    assert picked.figures["validation_error"] == 0.2
    said = capsys.readouterr().out
    assert "the run has none (no trial fits uno)" in said
    assert "trial 0005 of its front" in said and "after all: as 5." in said
    with pytest.raises(_picked.PickError, match="none of the 4 of its front fits"):
        _picked.read_pick(str(tmp_path), "best", lambda picked: None)
    # A number that is named is taken as it is.
    assert _picked.read_pick(str(tmp_path), "4", lambda picked: None).index == 4
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("key", ["header", "point"])
def test_a_damaged_file_is_named(run_dir, tmp_path, key):  # noqa: F811
    best = report.read_json(run_dir / "best.json")
    best[key] = {}
    (tmp_path / "best.json").write_text(json.dumps(best))
    assert "its best.json is damaged" in _message(tmp_path, "best")


def test_other_images_than_the_run_had_are_refused(tmp_path):
    run = deployed_run.write(tmp_path / "run")
    picked = _picked.read_pick(str(run), "best")
    small.write_npz(run / "data" / "small.npz", seed=5)
    with pytest.raises(_picked.PickError, match="made with other images"):
        _picked.load_dataset(picked, None)
