"""Runs a quantised program in numpy: the definition of right, for many images at once.

The arithmetic is written down in `spjax.deploy.quantised`; compiled code is right if
every storage that it makes equals the one that is made here. Sums of products are
taken in floating point where that is exact, because BLAS then adds them up.
"""

from collections.abc import Mapping

import numpy as np

from spjax import analysis
from spjax.deploy import geometry
from spjax.deploy.quantised import (
    Addition,
    Copy,
    Linear,
    QuantisationError,
    QuantisedProgram,
)

# Bytes of the largest array that is made at once, about.
_CHUNK = 1 << 25


def scaled(
    a: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """Fixed-point multiplication by ``multiplier * 2**(shift - 31)``.

    Args:
      a: integers within int32.
      multiplier: 0 .. 2**31 - 1; broadcasts against `a`, as does `shift`.
      shift: -31 .. 0.

    Returns:
      int64, rounded as `spjax.deploy.quantised` says.
    """
    right = -np.asarray(shift, np.int64)
    high = (np.asarray(a, np.int64) * np.asarray(multiplier, np.int64) + 2**30) >> 31
    half = (np.int64(1) << right) >> 1
    return (high + half - ((high < 0) & (right > 0))) >> right


def run(quantised: QuantisedProgram, images: np.ndarray) -> dict[str, np.ndarray]:
    """Runs a program on images, one by one in meaning, together in practice.

    Args:
      quantised: a program with one input.
      images: int8 [N, ..]: the input's shape without its batch of 1.

    Returns:
      storage name -> int8 [N, ..], the input included.

    Raises:
      QuantisationError: if images are not int8 or not of the input's shape.
    """
    program = quantised.program
    (name,) = program.inputs
    shape = program.tensors[name].shape
    images = np.asarray(images)
    if images.dtype != np.int8 or images.shape[1:] != shape[1:]:
        raise QuantisationError(
            f"images are {images.dtype} {images.shape}; input '{name}' takes int8 of "
            f"the shape (N, {', '.join(map(str, shape[1:]))})."
        )
    values = {name: images}
    for operation in program.operations:
        values[operation.output] = run_operation(quantised, operation, values)
    return values


def run_operation(
    quantised: QuantisedProgram,
    operation: analysis.Operation,
    values: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Runs one operation.

    Args:
      quantised: the program.
      operation: one of its operations.
      values: storage name -> int8 [N, ..], of what it reads at least.

    Returns:
      int8 [N, ..]: the storage that it writes.
    """
    program = quantised.program
    count = len(values[program.storage(operation.inputs[0])])
    inputs = [
        values[program.storage(n)].reshape(count, *program.tensors[n].shape[1:])
        for n in operation.inputs
    ]
    out = program.tensors[operation.output].shape
    result = np.empty((count, *out[1:]), np.int8)
    step = max(1, _CHUNK // (8 * geometry.work(program, operation)))
    for start in range(0, count, step):
        part = slice(start, start + step)
        made = _operation(quantised, operation, [x[part] for x in inputs])
        result[part] = made.reshape(-1, *out[1:])
    return result


def predict(quantised: QuantisedProgram, images: np.ndarray) -> np.ndarray:
    """int8 [N, classes]: the program's only output, see `run`."""
    (output,) = quantised.program.outputs
    return run(quantised, images)[quantised.program.storage(output)].reshape(
        len(images), -1
    )


def _operation(
    quantised: QuantisedProgram, operation: analysis.Operation, inputs: list
) -> np.ndarray:
    numbers = quantised.operations[operation.name]
    if isinstance(numbers, Linear):
        return _linear(operation, numbers, inputs[0])
    if isinstance(numbers, Addition):
        total = _addition(numbers, *inputs)
    elif isinstance(numbers, Copy):
        axis = dict(operation.attributes).get("axis")
        total = inputs[0] if axis is None else np.concatenate(inputs, axis)
    elif geometry.is_maximum(operation):
        total = geometry.max_pool(operation, inputs[0])
    else:
        total = _average(operation, inputs[0])
    return np.clip(total, numbers.minimum, numbers.maximum)


def _linear(
    operation: analysis.Operation, numbers: Linear, x: np.ndarray
) -> np.ndarray:
    weights = numbers.weights
    reach = np.abs(weights.astype(np.int64)).reshape(-1, weights.shape[-1]).sum(0).max()
    kind = np.float32 if reach * 255 < 2**24 else np.float64
    x = x.astype(kind) - kind(numbers.input_zero_point)
    if operation.kind == "dense":
        total = x.reshape(len(x), -1) @ weights.astype(kind)
    else:
        total = geometry.convolve(operation, weights.astype(kind), x)
    total = total.astype(np.int64)
    if numbers.bias is not None:
        total += numbers.bias
    result = scaled(total, numbers.multipliers, numbers.shifts)
    result += numbers.output_zero_point
    return np.clip(result, numbers.minimum, numbers.maximum)


def _average(operation: analysis.Operation, x: np.ndarray) -> np.ndarray:
    total, count = geometry.sum_pool(operation, x, np.int64)
    # Halves away from zero; floor division of a magnitude is the one towards zero.
    return np.sign(total) * ((np.abs(total) + count // 2) // count)


def _addition(numbers: Addition, *inputs: np.ndarray) -> np.ndarray:
    total = 0
    for x, zero, multiplier, shift in zip(
        inputs,
        numbers.input_zero_points,
        numbers.input_multipliers,
        numbers.input_shifts,
        strict=True,
    ):
        moved = (x.astype(np.int64) - zero) << 20
        total = total + scaled(moved, multiplier, shift)
    result = scaled(total, numbers.output_multiplier, numbers.output_shift)
    return result + numbers.output_zero_point
