"""Model size in encoded bytes: everything about the weights that lies in flash.

For each convolution and dense layer: the tables of its codec (values and index), and
for each output channel a bias and a multiplier of 32 bits and a shift of 8 bits. The
emitted C holds these arrays and no others but tables of geometry, which depend on the
number of layers only. The formats' code is no part of the figure, though it has a say
in which formats are used (`spjax.deploy.codecs.choose`).
"""

from collections.abc import Mapping

import numpy as np

from spjax import analysis
from spjax.analysis.stream import unit_output
from spjax.analysis.windows import map_shape
from spjax.deploy.codecs.choose import choose_together
from spjax.deploy.codecs.encoded import EncodedWeights, Format
from spjax.deploy.codecs.formats import encode
from spjax.deploy.quantised import Linear, QuantisedProgram

CHANNEL_BYTES = 9


def model_size_encoded(
    quantised: QuantisedProgram, plan: analysis.Plan | None = None
) -> int:
    """Bytes of weights, their indices, biases, multipliers and shifts.

    Args:
      quantised: the network.
      plan: the plan that it will run by; where that feeds a dense layer pixel by
        pixel, the order of its weights differs, and so may their bytes. By default
        no plan does.

    Returns:
      model_size_encoded, in bytes: what the constant arrays of the emitted C add up
      to, tables of geometry apart.
    """
    total = 0
    for encoded in encoded_weights(quantised, plan).values():
        total += encoded.encoded_bytes
    for operation in quantised.operations.values():
        if isinstance(operation, Linear):
            total += CHANNEL_BYTES * operation.multipliers.size
    return total


def encoded_weights(
    quantised: QuantisedProgram,
    plan: analysis.Plan | None = None,
    formats: Mapping[str, Format] | None = None,
) -> dict[str, EncodedWeights]:
    """The encoding of every convolution and dense layer.

    Args:
      quantised: the network.
      plan: as in `model_size_encoded`.
      formats: operation name -> format that it shall have; those of the others are
        chosen together.

    Returns:
      operation name -> encoded weight matrix.

    Raises:
      CodecError: if a given format cannot hold the weights.
    """
    pixels = streamed_pixels(quantised.program, plan) if plan else {}
    matrices = {
        name: weight_matrix(operation.weights, pixels.get(name, 1))
        for name, operation in quantised.operations.items()
        if isinstance(operation, Linear)
    }
    given = {n: encode(matrices.pop(n), form) for n, form in (formats or {}).items()}
    return given | choose_together(matrices)


def weight_matrix(weights: np.ndarray, pixels: int = 1) -> np.ndarray:
    """A kernel in the order in which the C code reads it.

    Args:
      weights: (kernel height, kernel width, inputs / groups, outputs) or (inputs,
        outputs).
      pixels: of a dense layer: in how many pieces its input comes.

    Returns:
      (outputs, kernel height * kernel width * inputs / groups); of a dense layer
      (pixels * outputs, inputs / pixels): all outputs' rows for the first pixel, then
      those for the second.
    """
    outputs = weights.shape[-1]
    matrix = weights.reshape(pixels, -1, outputs).transpose(0, 2, 1)
    return matrix.reshape(pixels * outputs, -1)


def streamed_pixels(program: analysis.Program, plan: analysis.Plan) -> dict[str, int]:
    """Pixels that the dense layers at the end of streamed chains are fed with.

    Args:
      program: the program.
      plan: a plan of it.

    Returns:
      operation name -> pixels of its input, for dense layers fed pixel by pixel.
    """
    pixels = {}
    for task in plan.steps:
        name = task.stream.accumulate if task.stream else None
        if name is not None and program.operation(name).kind == "dense":
            units = task.stream.units
            rows, columns, _ = map_shape(
                program, unit_output(program, units, len(units) - 1, name)
            )
            pixels[name] = rows * columns
    return pixels
