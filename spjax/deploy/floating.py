"""Runs a float program on many images at once, in numpy.

`spjax.analysis.evaluate` is the meaning of a program, one image at a time; this is the
same for the operations that have an integer kernel, on batches.
"""

from collections.abc import Iterator

import numpy as np

from spjax import analysis
from spjax.deploy import geometry
from spjax.deploy.quantised import QuantisationError
from spjax.deploy.supported import clamp, family

_CHUNK_BYTES = 1 << 26


def check_program(program: analysis.Program) -> None:
    """Refuses what cannot be quantised.

    Raises:
      QuantisationError: if an operation has no integer kernel, a weight has no values
        or there is not exactly one input and one output.
    """
    for operation in program.operations:
        family(program, operation)
        for weight in operation.weights:
            if weight.values is None:
                raise QuantisationError(
                    f"weight '{weight.name}' has no values; trace the network with "
                    "arrays, not shapes."
                )
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        raise QuantisationError(
            f"the network has {len(program.inputs)} inputs and {len(program.outputs)} "
            "outputs; one of each is supported."
        )


def run_float(
    program: analysis.Program, images: np.ndarray
) -> Iterator[dict[str, np.ndarray]]:
    """Runs a program on parts of a set of images, one part after the other.

    Args:
      program: with one input, weights with values and supported operations only.
      images: float32 [N, ..]: the input's shape without its batch of 1.

    Yields:
      storage name -> float32 [n, ..] for the next n images.

    Raises:
      QuantisationError: if the program cannot be quantised or images have another
        shape.
    """
    check_program(program)
    shape = program.tensors[program.inputs[0]].shape[1:]
    if images.shape[1:] != shape:
        raise QuantisationError(
            f"images have the shape {images.shape}; the network takes (N, "
            f"{', '.join(map(str, shape))})."
        )
    largest = max(geometry.work(program, op) for op in program.operations)
    step = max(1, _CHUNK_BYTES // (4 * largest))
    for start in range(0, len(images), step):
        yield _part(program, np.asarray(images[start : start + step], np.float32))


def predict_float(program: analysis.Program, images: np.ndarray) -> np.ndarray:
    """float32 [N, classes]: the program's only output, see `run_float`."""
    (output,) = program.outputs
    storage = program.storage(output)
    parts = [part[storage] for part in run_float(program, images)]
    return np.concatenate(parts).reshape(len(images), -1)


def _part(program: analysis.Program, images: np.ndarray) -> dict[str, np.ndarray]:
    count = len(images)
    values = {program.inputs[0]: images}
    for operation in program.operations:
        inputs = [
            values[program.storage(n)].reshape(count, *program.tensors[n].shape[1:])
            for n in operation.inputs
        ]
        # Callers look for infinities: a warning would say less.
        with np.errstate(over="ignore", invalid="ignore"):
            result = np.clip(_raw(program, operation, inputs), *clamp(operation))
        shape = program.tensors[operation.output].shape[1:]
        values[operation.output] = result.astype(np.float32).reshape(count, *shape)
    return values


def _raw(
    program: analysis.Program, operation: analysis.Operation, inputs: list
) -> np.ndarray:
    x = inputs[0]
    kind = family(program, operation)
    if kind == "addition":
        return x + inputs[-1]
    if kind == "copy":
        axis = dict(operation.attributes).get("axis")
        return x if axis is None else np.concatenate(inputs, axis)
    if kind == "linear":
        kernel, bias = operation.weight("kernel").values, operation.weight("bias")
        if operation.kind == "dense":
            total = x.reshape(len(x), -1) @ kernel
        else:
            total = geometry.convolve(operation, kernel, x)
        return total if bias is None else total + bias.values
    if geometry.is_maximum(operation):
        return geometry.max_pool(operation, x)
    total, count = geometry.sum_pool(operation, x, np.float32)
    return total / count
