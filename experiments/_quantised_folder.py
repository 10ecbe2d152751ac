"""What ``experiments.quantise`` wrote, as it is put onto a board."""

import dataclasses
import pathlib
from typing import Any

from spjax import deploy, genomes, report


class QuantisedFolderError(ValueError):
    """A folder that ``experiments.quantise`` did not write, or not whole."""


@dataclasses.dataclass(frozen=True)
class QuantisedFolder:
    """A quantised network and the data set that it was made with.

    Attributes:
      run_dir: the folder.
      quantised: the network.
      genome: of the float network.
      float_test_error: error rate of the float network on the test split.
      dataset: facts of the data set.
      flags: the flags that say how the data set is loaded.
    """

    run_dir: pathlib.Path
    quantised: deploy.QuantisedProgram
    genome: genomes.Genome
    float_test_error: float
    dataset: dict[str, Any]
    flags: dict[str, Any]


def read_quantised(folder: str) -> QuantisedFolder:
    """Reads a folder of ``experiments.quantise``.

    Args:
      folder: the value of --quantised.

    Raises:
      QuantisedFolderError: if it is none, or the float network is gone.
      QuantisationError: if its integers cannot be read.
    """
    path = pathlib.Path(folder)
    for name in ("quantised.npz", "quantised.json"):
        if not (path / name).is_file():
            raise QuantisedFolderError(
                f"--quantised={folder} has no {name}: give a folder that python -m "
                "experiments.quantise wrote"
            )
    facts = report.read_json(path / "quantised.json")
    try:
        network = pathlib.Path(facts["flags"]["network"])
        error = float(facts["float_test_error"])
        dataset, flags = dict(facts["dataset"]), dict(facts["flags"])
        # Older data sets have no such flag; they were loaded as they are.
        flags = {"image_size": None, "grey": False, "data_dir": None, **flags}
        dataset["fingerprint"], flags["dataset"], flags["split_seed"]
    except (KeyError, TypeError, ValueError) as problem:
        raise QuantisedFolderError(
            f"--quantised={folder}: its quantised.json is damaged ({problem!r}): "
            "quantise the network again"
        ) from problem
    if not (network / "genome.json").is_file():
        raise QuantisedFolderError(
            f"--quantised={folder} was made from {network}, which is not there (seen "
            "from this folder): start from where it was made, or quantise it again"
        )
    return QuantisedFolder(
        run_dir=path,
        quantised=deploy.load_quantised(path / "quantised.npz"),
        genome=genomes.from_json((network / "genome.json").read_text()),
        float_test_error=error,
        dataset=dataset,
        flags=flags,
    )
