"""What a worker is told of a trial, and where a trial's files are."""

import dataclasses
import os
import pathlib

from spjax import training
from spjax.search.early_stop import StopTable


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """What a worker needs to know of a trial; picklable.

    Attributes:
      run_dir: the run's folder.
      index: the trial's number.
      genome: the genome's JSON text.
      config: settings of the training; its seed is the trial's.
      init: weights to inherit from, an .npz file, or None. A file that is not there
        (the parent's training failed) counts as None.
      bytes_per_element: bytes of one value on the target.
      further: whether the trained network is read at higher sparsities, too.
      stops: when the training is hopeless and is to stop; None for never.
    """

    run_dir: str
    index: int
    genome: str
    config: training.TrainConfig
    init: str | None = None
    bytes_per_element: int = 1
    further: bool = True
    stops: StopTable | None = None


def trial_folder(run_dir: str | os.PathLike, index: int) -> pathlib.Path:
    """Folder of a trial."""
    return pathlib.Path(run_dir) / "trials" / f"{index:04d}"


def deployed_folder(
    run_dir: str | os.PathLike, index: int, reading: int = 0
) -> pathlib.Path:
    """Folder of a trial's network as it is deployed, and as its figures count it.

    Args:
      run_dir: the run's folder.
      index: the trial's number.
      reading: number of one of its further readings; 0 for its own point.
    """
    folder = trial_folder(run_dir, index)
    return folder / "readings" / str(reading) if reading else folder / "deployed"


def data_folder(run_dir: str | os.PathLike) -> pathlib.Path:
    """Folder of the arrays that the workers map into memory."""
    return pathlib.Path(run_dir) / "data"
