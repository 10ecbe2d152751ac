"""What is put onto a board: an int8 network, and the images to prove it with."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from experiments import _firmware, _picked
from experiments._quantised_folder import QuantisedFolder
from spjax import data, deploy, genomes, search, training


@dataclasses.dataclass(frozen=True)
class Source:
    """A network and its data.

    Attributes:
      title: for people.
      name: for C.
      folder: where it came from.
      origin: where it came from, for machines.
      quantised: the network.
      images: the test split's, int8, as the network takes them.
      labels: theirs.
      float_test_error: error rate of the float network on them.
      promised: the run's figures; empty if there are none.
    """

    title: str
    name: str
    folder: pathlib.Path
    origin: dict[str, Any]
    quantised: deploy.QuantisedProgram
    images: np.ndarray
    labels: np.ndarray
    float_test_error: float
    promised: dict[str, Any]


def load(found: _picked.Picked | QuantisedFolder, data_dir: str | None) -> Source:
    """Loads the data, and quantises a network that is not quantised yet.

    Args:
      found: what was asked for.
      data_dir: where TFDS data lies, if elsewhere than it was for the run.

    Raises:
      DataError: as ``data.load`` does.
      PickError: if the data is not that of the run.
      QuantisationError: if the network cannot be quantised.
    """
    dataset = _picked.load_dataset(found, data_dir)
    test = dataset.test()
    folder, facts = found.run_dir, found.dataset
    if isinstance(found, QuantisedFolder):
        quantised, error = found.quantised, found.float_test_error
        title, number, promised = f"The network of {folder}", "quantised", {}
        origin = {"quantised": str(folder)}
    else:
        quantised = _quantised(found, dataset)
        error = training.error_rate(
            found.genome,
            found.variables,
            test,
            dataset.num_classes,
            dataset.normalisation,
        )
        number = search.name_of(found.index, found.reading)
        title, promised = f"Trial {number} of {folder}", found.figures
        origin = {"run_dir": str(folder), "trial": found.index}
        origin["reading"] = found.reading
    pixels = _input(test.images, found.genome, dataset)
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in facts["name"])
    return Source(
        title=title,
        name=f"{name[-40:]}-{number}",
        folder=folder,
        origin=origin,
        quantised=quantised,
        images=quantised.scale(quantised.program.inputs[0]).to_int8(pixels),
        labels=test.labels,
        float_test_error=error,
        promised=promised,
    )


def _quantised(
    picked: _picked.Picked, dataset: data.Dataset
) -> deploy.QuantisedProgram:
    """The pick as integers, calibrated on images of the training split."""
    program = search.program_of(
        picked.genome, picked.variables, dataset.input_shape, dataset.num_classes
    )
    images = dataset.train.images[: _firmware.CALIBRATION_IMAGES]
    return deploy.quantise(
        program,
        _input(images, picked.genome, dataset),
        input_range=_firmware.input_range(dataset.normalisation),
    )


def _input(
    images: np.ndarray, genome: genomes.Genome, dataset: data.Dataset
) -> np.ndarray:
    return _firmware.network_input(images, genome, dataset.normalisation)
