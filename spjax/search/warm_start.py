"""Another run's trials as earlier observations of a new one.

What is needed of the other run is copied when the new one is set up, to its folder
``warm_start``: ``observations.json`` with the genomes and figures of the completed
trials, and ``NNNN.npz`` with their weights, where the other run still has them. So a
run is resumed with what it was started with, whatever became of the other one.

The proposals see these trials as observations with negative indices, trial k of the
other run as -1 - k: they teach the model of the error, and their networks are parents
like others, whose weights are inherited. They are no trials of the new run: they are
not on its front, and do not count.
"""

import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from spjax import genomes
from spjax.search.errors import StudyError
from spjax.search.observation import Observation
from spjax.search.settings import Settings
from spjax.search.trial_row import genome_of

FOLDER = "warm_start"
_FILE = "observations.json"
_SAME = {
    "input_shape": "searched images of the shape {}",
    "num_classes": "searched images of {} classes",
    "objectives": "minimised {}",
    "bytes_per_element": "counted {} byte(s) per value",
}


def select(
    other_dir: str | os.PathLike,
    rows: Sequence[Mapping[str, Any]],
    other: Settings,
    settings: Settings,
) -> list[dict[str, Any]]:
    """Chooses the trials of another run that a new one can use.

    Args:
      other_dir: the other run's folder.
      rows: its trials, as `Study.records` gives them.
      other: its settings.
      settings: those of the new run.

    Returns:
      What is to be kept of the trials that are completed, have all figures that the
      new run needs, and a genome within its bounds.

    Raises:
      StudyError: if the runs do not match, or there is no such trial.
    """
    for name, words in _SAME.items():
        then, now = (_text(getattr(s, name)) for s in (other, settings))
        if then != now:
            raise StudyError(
                f"{other_dir} {words.format(then)}, not {now}: give a run that agrees "
                f"in that, or none"
            )
    needed = {*settings.objectives, *settings.limit_of}
    taken = [_taken(row, needed, settings) for row in rows]
    taken = [entry for entry in taken if entry is not None]
    if not taken:
        raise StudyError(
            f"{other_dir} has no completed trial with {', '.join(sorted(needed))} and "
            f"a genome within the bounds of this search: give another run, or none"
        )
    return taken


def keep(
    run_dir: str | os.PathLike,
    other_dir: str | os.PathLike | None,
    selected: Sequence[Mapping[str, Any]],
) -> None:
    """Copies the selected trials and their weights, replacing earlier copies.

    Args:
      run_dir: the new run's folder.
      other_dir: the other run's; None for none.
      selected: from `select`; if empty, nothing is copied.

    Raises:
      StudyError: if something cannot be copied.
    """
    folder = pathlib.Path(run_dir) / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    if not selected:
        return
    try:
        folder.mkdir(parents=True)
        for entry in selected:
            trial = f"{entry['index']:04d}"
            weights = pathlib.Path(other_dir) / "trials" / trial / "weights.npz"
            if weights.exists():
                shutil.copyfile(weights, folder / f"{trial}.npz")
        (folder / _FILE).write_text(json.dumps(selected) + "\n", encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"cannot copy the trials of {other_dir} to {folder}: "
            f"{error.strerror or error}; make room there or choose another folder"
        ) from error


def read(run_dir: str | os.PathLike) -> tuple[Observation, ...]:
    """Returns the earlier observations of a run, oldest first; most runs have none.

    Raises:
      StudyError: if the copy is damaged.
    """
    folder = pathlib.Path(run_dir) / FOLDER
    if not folder.exists():
        return ()
    try:
        entries = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return tuple(
            Observation(
                -1 - entry["index"],
                genome_of(entry),
                "completed",
                entry["figures"],
                tuple(entry["readings"]),
            )
            for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"{folder} is damaged ({error}): the run cannot be resumed; start a new "
            f"one in another folder"
        ) from error


def weights_of(run_dir: str | os.PathLike, parent: int | None) -> pathlib.Path | None:
    """The file with the weights that a child inherits; it need not exist.

    Args:
      run_dir: the run's folder.
      parent: the parent's index, negative for an earlier observation; None for none.
    """
    if parent is None:
        return None
    if parent < 0:
        return pathlib.Path(run_dir) / FOLDER / f"{-1 - parent:04d}.npz"
    return pathlib.Path(run_dir) / "trials" / f"{parent:04d}" / "weights.npz"


def _taken(
    row: Mapping[str, Any], needed: set[str], settings: Settings
) -> dict[str, Any] | None:
    """What is kept of a trial; None if it is of no use."""
    if row["status"] != "completed" or not _has(row, needed):
        return None
    try:
        genome = genome_of(row)
        genomes.validate(genome, settings.input_shape)
        genomes.check_within(genome, settings.bounds)
    except genomes.GenomeError:
        return None
    readings = [r for r in row.get("readings") or () if _has(r, needed)]
    return {
        "index": row["index"],
        "genome": json.loads(genomes.to_json(genomes.canonical(genome))),
        "figures": {name: row[name] for name in sorted(needed)},
        "readings": [{name: r[name] for name in sorted(needed)} for r in readings],
    }


def _has(figures: Mapping[str, Any], needed: set[str]) -> bool:
    return all(figures.get(name) is not None for name in needed)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        strings = any(isinstance(item, str) for item in value)
        return (", " if strings else "x").join(map(str, value))
    return str(value)
