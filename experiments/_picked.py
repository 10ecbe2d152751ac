"""A run's pick, as it is put onto a board: network, data set and what was promised."""

import dataclasses
import pathlib
import re
from collections.abc import Callable
from typing import Any

from spjax import data, genomes, networks, report, search

_DATA_FLAGS = ("dataset", "data_dir", "image_size", "grey", "split_seed")


class PickError(ValueError):
    """A run or a pick that is not there."""


@dataclasses.dataclass(frozen=True)
class Picked:
    """A trained network of a run.

    Attributes:
      run_dir: the run's folder.
      index: the trial's number.
      reading: number of the further reading of its network; 0 for its own point.
      genome: the network as it is deployed.
      variables: its weights.
      figures: what the run says of it; empty for a trial off the front.
      dataset: facts of the run's data set, as ``front.json`` has them.
      flags: the flags of the run that say how the data set is loaded.
    """

    run_dir: pathlib.Path
    index: int
    reading: int
    genome: genomes.Genome
    variables: dict[str, Any]
    figures: dict[str, Any]
    dataset: dict[str, Any]
    flags: dict[str, Any]


def read_pick(
    run_dir: str, pick: str, fits: Callable[[Picked], str | None] | None = None
) -> Picked:
    """Reads a trial's network.

    Args:
      run_dir: the value of --run_dir.
      pick: ``best``, or a trial's number, or that of a further reading, ``7-2``.
      fits: says how a network fits the board after all, or None if it does not. If
        the run has no best network, because none met its limits, ``best`` is the one
        of the front with the lowest validation error that fits so; this is printed.

    Raises:
      PickError: if there is no such run or trial, or no trial fits its board.
      ReportError: if a file of the run is damaged.
    """
    folder = pathlib.Path(run_dir)
    if not (folder / "best.json").is_file():
        raise PickError(
            f"--run_dir={run_dir} holds no finished run (no best.json): give the "
            "folder of one, or start one with python -m experiments.search"
        )
    best = report.read_json(folder / "best.json")
    try:
        header, point = best["header"], best["point"]
        kept = {name: header["flags"][name] for name in _DATA_FLAGS}
        dataset = dict(header["dataset"])
        if pick == "best" and point is None:
            return _fitting(run_dir, best.get("reason"), fits)
        index, reading = _key(pick, point)
    except (KeyError, TypeError) as error:
        raise PickError(
            f"--run_dir={run_dir}: its best.json is damaged ({error!r}): write it "
            "again with --resume, or choose another run"
        ) from error
    genome, variables = _network(folder, index, reading)
    points = [point or {}]
    if (folder / "front.json").is_file():
        points += report.read_front(folder / "front.json")["points"]
    key = index, reading
    figures = next((p for p in points if p and search.key_of(p) == key), {})
    return Picked(folder, index, reading, genome, variables, figures, dataset, kept)


def read_front(run_dir: str) -> list[Picked]:
    """Reads all networks of a run's front, in its order.

    Args:
      run_dir: the run's folder.

    Raises:
      PickError: as `read_pick` does.
      ReportError: likewise.
    """
    path = pathlib.Path(run_dir) / "front.json"
    if not path.is_file():
        raise PickError(
            f"--run_dirs={run_dir} holds no finished run (no front.json): give the "
            "folder of one, or start one with python -m experiments.search"
        )
    points = report.read_front(path)["points"]
    return [read_pick(run_dir, report.label_of(point)) for point in points]


def _fitting(
    run_dir: str, reason: str | None, fits: Callable[[Picked], str | None] | None
) -> Picked:
    front = read_front(run_dir) if fits else []
    for picked in sorted(front, key=lambda one: one.figures["validation_error"]):
        how = fits(picked)
        if how is not None:
            print(
                f"--pick=best: the run has none ({reason}); trial "
                f"{search.name_of(picked.index, picked.reading)} of its front has the "
                f"lowest validation error of those that fit after all: {how}."
            )
            return picked
    after_all = f", and none of the {len(front)} of its front fits after all"
    raise PickError(
        f"--run_dir={run_dir} has no best network ({reason})"
        f"{after_all if front else ''}; name a trial, --pick=NUMBER, or another board"
    )


def _key(pick: str, point: dict) -> tuple[int, int]:
    if pick == "best":
        return int(point["index"]), int(point.get("reading") or 0)
    if not re.fullmatch(r"\d+(-\d+)?", pick):
        raise PickError(f"--pick={pick}: give `best` or a trial's number")
    index, _, reading = pick.partition("-")
    return int(index), int(reading or 0)


def _network(
    run_dir: pathlib.Path, index: int, reading: int
) -> tuple[genomes.Genome, dict]:
    folders = (
        search.deployed_folder(run_dir, index, reading),
        run_dir / "front" / search.name_of(index, reading),
    )
    for folder in folders:
        if (folder / "genome.json").is_file() and (folder / "weights.npz").is_file():
            genome = genomes.from_json((folder / "genome.json").read_text())
            return genome, networks.load_tree(folder / "weights.npz")
    known = sorted(
        int(path.name)
        for path in (run_dir / "trials").glob("[0-9]*")
        if (path / "deployed").is_dir()
    )
    named = ", ".join(map(str, known[:20])) + (", ..." if len(known) > 20 else "")
    raise PickError(
        f"--pick={index}: {run_dir} has no trained network of that number; it has "
        f"{named or 'none'}"
    )


def load_dataset(picked: Picked, data_dir: str | None) -> data.Dataset:
    """Loads the data set that the run was made with, its test split included.

    Args:
      picked: from `read_pick`.
      data_dir: where TFDS data lies, if elsewhere than it was for the run.

    Raises:
      DataError: as ``data.load`` does.
      PickError: if it is not the data set that the network was trained on.
    """
    dataset = data.load(
        picked.flags["dataset"],
        data_dir=data_dir or picked.flags["data_dir"],
        image_size=picked.flags["image_size"],
        grey=picked.flags["grey"],
        seed=picked.flags["split_seed"],
    )
    if dataset.fingerprint != picked.dataset["fingerprint"]:
        raise PickError(
            f"--run_dir={picked.run_dir} was made with other images than "
            f"{picked.flags['dataset']} holds now (fingerprint "
            f"{picked.dataset['fingerprint']}, not {dataset.fingerprint}): bring the "
            "data set back"
        )
    return dataset
