"""What a run leaves for people: tables, pictures, the front's networks.

The search and the long training write the same files through ``write_results``. The
test split is read here and nowhere else, once for each network of the front.
"""

import dataclasses
import datetime
import importlib.metadata
import pathlib
import platform
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import spjax
from experiments import _network_facts
from spjax import data, deploy, report, search, training

_PACKAGES = ("jax", "flax", "optax", "ax-platform", "botorch", "numpy")


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python, of spjax and of what it stands on."""
    found = {"python": platform.python_version(), "spjax": spjax.__version__}
    for name in _PACKAGES:
        found[name] = importlib.metadata.version(name)
    return found


def header(
    dataset: data.Dataset,
    board: deploy.Board,
    *,
    memory_model: str,
    size_model: str,
    seed: int,
    flags: dict[str, Any],
    started: str,
) -> dict[str, Any]:
    """What holds for the whole run; the first part of ``front.json``."""
    described = dataset.describe()
    return {
        "dataset": {
            "name": described["name"],
            "notes": described["notes"],
            "split_sizes": described["sizes"],
            "split_seed": described["split_seed"],
            "fingerprint": described["fingerprint"],
            "input_shape": described["input_shape"],
            "class_names": described["class_names"],
        },
        "normalisation": described["normalisation"],
        "board": dataclasses.asdict(board),
        "memory_model": memory_model,
        "size_model": size_model,
        "flags": flags,
        "versions": versions(),
        "seed": seed,
        "started": started,
        "finished": now(),
    }


def test_error(run_dir: pathlib.Path, row: dict, dataset: data.Dataset) -> float:
    """Error rate of a trial's network on the test split; measured once, then kept."""
    kept = search.deployed_folder(run_dir, *search.key_of(row)) / "test.json"
    if kept.exists():
        return report.read_json(kept)["test_error"]
    genome, variables = _network_facts.deployed_network(run_dir, *search.key_of(row))
    error = training.error_rate(
        genome,
        variables,
        dataset.test(),
        dataset.num_classes,
        dataset.normalisation,
    )
    report.write_json(kept, {"test_error": error, "images": dataset.test_size})
    return error


def summary(
    rows: Sequence[dict], memory_model: str, size_model: str
) -> dict[str, dict[str, float]]:
    """Mean and spread of the figures over trainings of one genome.

    Args:
      rows: one per training.
      memory_model: the working memory that was asked for.
      size_model: the model size that was.

    Returns:
      ``mean``, ``standard_deviation`` (of the sample, n - 1; 0 for one training) and
      ``count`` by figure; empty without rows.
    """
    if not rows:
        return {}
    figures = {}
    size = f"model_size_{size_model}"
    for name in ("validation_error", "test_error", size, memory_model):
        values = np.array([row[name] for row in rows], float)
        figures[name] = {
            "mean": float(values.mean()),
            "standard_deviation": float(values.std(ddof=1)) if len(rows) > 1 else 0.0,
            "count": len(rows),
        }
    return figures


def write_results(
    run_dir: pathlib.Path,
    rows: Sequence[dict],
    head: dict[str, Any],
    dataset: data.Dataset,
    *,
    tested: bool = True,
    check: Callable[[], None] | None = None,
) -> dict[str, Any] | None:
    """Writes every file that the README's table lists.

    Args:
      run_dir: the run's folder, with the trials' folders.
      rows: all trials, as ``report`` describes them, and the further readings that are
        on the front; rows of the front get their ``test_error`` and ``files`` here.
      head: from ``header``.
      dataset: for its test split.
      tested: whether the front's networks are tested; not before a search is over.
      check: called before each network of the front; may raise.

    Returns:
      The row of the pick for the board; None if no trial fits it.
    """
    front = [row for row in rows if row["on_front"]]
    once = ReadOnce(dataset)
    history, layers, timelines = {}, {}, {}
    for row in front:
        if check is not None:
            check()
        key = search.key_of(row)
        source = search.trial_folder(run_dir, row["index"])
        row["files"] = _copy_network(run_dir, *key)
        if tested:
            row["test_error"] = test_error(run_dir, row, once)
        history[row["index"]] = report.read_json(source / "history.json")
        name = key if key[1] else row["index"]
        layers[name], timelines[name] = _network_facts.facts_of(run_dir, *key, dataset)
    pick = report.choose_pick(rows, head)
    report.write_trials_csv(run_dir / "trials.csv", rows)
    report.write_front(run_dir / "front.json", head, front)
    report.write_best(run_dir / "best.json", pick, head)
    report.plot_front(run_dir / "front.png", rows, head)
    report.plot_progress(run_dir / "progress.png", rows, head)
    report.write_html(
        run_dir / "report.html",
        rows,
        head,
        history=history,
        layers=layers,
        timelines=timelines,
    )
    # Last, so that what front.json names is there at any moment.
    names = {search.name_of(*search.key_of(row)) for row in front}
    for old in set(_numbered(run_dir / "front")) - names:
        shutil.rmtree(run_dir / "front" / old, ignore_errors=True)
    return pick


def _copy_network(run_dir: pathlib.Path, index: int, reading: int) -> dict[str, str]:
    """Copies a point's network to the front; returns paths relative to the run's.

    The network is the one that is deployed; ``searched.json`` is the genome that was
    trained, channels that pruning removed included: what to train again.
    """
    trained = search.trial_folder(run_dir, index)
    deployed = search.deployed_folder(run_dir, index, reading)
    paths = {}
    for source in (
        deployed / "genome.json",
        deployed / "weights.npz",
        deployed / "masks.npz",
        trained / "genome.json",
    ):
        name = "searched.json" if source.parent == trained else source.name
        target = pathlib.Path("front", search.name_of(index, reading), name)
        try:
            content = source.read_bytes()
        except OSError as error:
            raise report.ReportError(
                f"cannot read {source}: {error.strerror or error}; bring it back, or "
                "start a new run in another folder"
            ) from error
        report.write_bytes(run_dir / target, content)
        paths[pathlib.Path(name).stem] = target.as_posix()
    return paths


def _numbered(folder: pathlib.Path) -> list[str]:
    return [path.name for path in folder.glob("[0-9]" * 4 + "*")]


class ReadOnce:
    """A data set whose test split is read at most once, and only if asked for."""

    def __init__(self, dataset: data.Dataset) -> None:
        self._dataset = dataset
        self._test = None

    def __getattr__(self, name: str) -> Any:
        """Everything else is the data set's own."""
        return getattr(self._dataset, name)

    def test(self) -> data.Split:
        """The test split."""
        if self._test is None:
            self._test = self._dataset.test()
        return self._test


def free_folder(name: str) -> pathlib.Path:
    """Makes the folder ``name``, or ``name-2``, ``name-3``... where it exists."""
    for number in range(1, 10_000):
        folder = pathlib.Path(name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise FileExistsError(f"{name} and its successors up to -9999 exist: tidy up")
