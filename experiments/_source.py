"""What is put onto a board: an int8 network, and the images to prove it with."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from experiments import _firmware, _picked, _remedy
from experiments._quantised_folder import QuantisedFolder
from spjax import deploy, search, training


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


def load(
    found: _picked.Picked | QuantisedFolder,
    data_dir: str | None,
    tolerance: float,
    remedy: str,
) -> Source:
    """Loads the data, and quantises a network that is not quantised yet.

    Args:
      found: what was asked for.
      data_dir: where TFDS data lies, if elsewhere than it was for the run.
      tolerance: points of validation error that quantising may cost.
      remedy: what to do if it costs more, one of ``deploy.REMEDIES``.

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
        program = search.program_of(
            found.genome, found.variables, dataset.input_shape, dataset.num_classes
        )
        best, attempts = _remedy.quantised(
            program, found.genome, dataset, tolerance=tolerance, remedy=remedy
        )
        quantised = best.quantised
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
        origin["quantisation"] = _remedy.as_json(best, attempts, tolerance)
    pixels = _firmware.network_input(test.images, found.genome, dataset.normalisation)
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
