"""What the flags of ``experiments.search`` ask for."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence

from experiments import _cli, _results, _space
from spjax import genomes, search

_IMAGE_PASSES = 1_500_000
_MOST_EPOCHS = 30
_LEAST_EPOCHS = 5
_STAGES_OF_SPARSE = ("0.6", "0.2", "0.2")


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of ``experiments.search`` that are not the data set's or board's."""

    trials: int
    workers: int
    resume: bool
    seed: int
    epochs: int | None
    batch_size: int
    memory_model: str
    initial_trials: int
    candidates: int
    random_share: float
    cache_dir: str | None
    error_bound: float | None = None
    size_bound: float | None = None
    memory_bound: float | None = None
    prefer: str = "balanced"
    stage_starts: tuple[int, int] | None = None
    bounds: genomes.Bounds = genomes.Bounds()
    size_model: str = "nonzero"
    algorithm: str = "morphs"
    population: int = 20
    stop: search.StopRule = search.StopRule()
    early_stopping: bool = False
    warm_start: str | None = None
    live_report: bool = False
    together: int = 1


def default_run_dir(dataset: str, board: str) -> pathlib.Path:
    """Makes a fresh folder under runs/, named for what is searched."""
    name = re.sub(r"[^\w.-]+", "_", f"{dataset}-{board}").strip("_")
    return _results.free_folder(f"runs/{name}")


def epochs_for(images: int) -> int:
    """Epochs of a trial if the user names none."""
    return max(_LEAST_EPOCHS, min(_MOST_EPOCHS, _IMAGE_PASSES // images))


def bounds_of(pruning: str, space: str = "") -> genomes.Bounds:
    """The default space with some kinds of pruning, and other ranges for some genes.

    Args:
      pruning: the kinds' names, parted by commas.
      space: as `parse_space` reads it.

    Raises:
      UsageError: if there is no kind, one is unknown or given twice, or for what
        `parse_space` and `genomes.Bounds` do not take.
    """
    kinds = tuple(kind.strip() for kind in pruning.split(","))
    lowest, highest = genomes.Bounds.sparsity
    if "none" not in kinds:
        lowest = 0.1  # a sparsity of 0 is no pruning
    try:
        bounds = genomes.Bounds(pruning=kinds, sparsity=(lowest, highest))
    except genomes.GenomeError as error:
        raise _cli.UsageError(
            f"--pruning={pruning}: give some of {','.join(genomes.PRUNING_KINDS)}, "
            "each once"
        ) from error
    try:
        return dataclasses.replace(bounds, **_space.parse_space(space))
    except genomes.GenomeError as error:
        raise _cli.UsageError(f"--space={space}: {error}") from error


def stage_starts_of(
    shares: Sequence[str] | None, algorithm: str, trials: int
) -> tuple[int, int] | None:
    """Where the stages begin, from --stages, --algorithm and --trials.

    Raises:
      UsageError: if the shares are not three numbers that sum to 1.
    """
    if shares is None:
        shares = _STAGES_OF_SPARSE if algorithm == "sparse" else ()
    if not shares:
        return None
    try:
        return search.stage_starts([float(share) for share in shares], trials)
    except ValueError as error:
        why = error if isinstance(error, search.SearchError) else "give three numbers"
        raise _cli.UsageError(f"--stages={','.join(shares)}: {why}") from error


def cache_folder(wanted: str | None) -> str | None:
    """The folder of compiled programs; None if there can be none.

    Raises:
      UsageError: if it was asked for and cannot be made.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = wanted or os.path.join(home, "spjax", "xla")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        why = f"cannot be made: {error.strerror or error}"
        if wanted:
            raise _cli.UsageError(
                f"--cache_dir={wanted} {why}; choose another folder"
            ) from error
        print(f"note: {folder} {why}; programs are compiled anew (--cache_dir)")
        return None
    return folder
