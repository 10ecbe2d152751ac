"""Evaluates a program in numpy, operation by operation.

This is the meaning of a `Program`: tests hold it against the JAX function that was
traced, and the simulator holds the execution of a memory plan against it.
"""

from collections.abc import Callable, Mapping

import numpy as np

from spjax.analysis import elementwise
from spjax.analysis.averages import window_counts
from spjax.analysis.errors import AnalysisError
from spjax.analysis.program import Operation, Program, Step


def evaluate(program: Program, inputs: Mapping[str, np.ndarray]) -> dict:
    """Runs a program.

    Args:
      program: a program whose weights have values.
      inputs: arrays by input name.

    Returns:
      Arrays by tensor name, every storage and every view.

    Raises:
      AnalysisError: if weights have no values, or an input is missing or misshapen.
    """
    values = {}
    for name in program.inputs:
        tensor = program.tensors[name]
        if name not in inputs or np.shape(inputs[name]) != tensor.shape:
            raise AnalysisError(
                f"input '{name}' is missing or not of the shape {tensor.shape}."
            )
        values[name] = np.asarray(inputs[name]).astype(tensor.dtype)
    for operation in program.operations:
        arguments = []
        for name in operation.inputs:
            tensor = program.tensors[name]
            arguments.append(values[program.storage(name)].reshape(tensor.shape))
        values[operation.output] = run(program, operation, arguments)
    for name, tensor in program.tensors.items():
        if tensor.alias_of is not None:
            values[name] = values[tensor.alias_of].reshape(tensor.shape)
    return values


def run(program: Program, operation: Operation, arguments: list) -> np.ndarray:
    """Runs one operation on whole tensors.

    Args:
      program: the program that it belongs to.
      operation: the operation.
      arguments: arrays of the shapes of its inputs.

    Returns:
      The array that it writes.

    Raises:
      AnalysisError: if its weights have no values.
    """
    for weight in operation.weights:
        if weight.values is None:
            raise AnalysisError(
                f"weight '{weight.name}' has no values; trace with arrays, not shapes."
            )
    output = program.tensors[operation.output]
    result = epilogue(operation, raw(operation, *arguments), arguments)
    return np.asarray(result, output.dtype).reshape(output.shape)


def raw(operation: Operation, *arguments: np.ndarray) -> np.ndarray | None:
    """What an operation computes before its epilogue; None if that is all it is."""
    if operation.kind == "elementwise":
        return None
    arguments = tuple(loaded(operation, x) for x in arguments)
    return _RAW[operation.kind](operation, *arguments)


def loaded(operation: Operation, x: np.ndarray) -> np.ndarray:
    """Elements of an operation's input after its prologue."""
    if not operation.prologue:
        return x
    return _steps(operation, operation.prologue, None, [x], lambda array: array)


def epilogue(
    operation: Operation,
    result: np.ndarray | None,
    arguments: list,
    constant: Callable[[np.ndarray], np.ndarray] = lambda array: array,
) -> np.ndarray:
    """Applies an operation's elementwise steps.

    Args:
      operation: the operation.
      result: its raw result, or any part of it, channels last.
      arguments: for an elementwise operation, the tensors (or parts of them).
      constant: cuts the part out of a weight that belongs to the part of the result.

    Returns:
      The result of the last step.
    """
    return _steps(operation, operation.epilogue, result, arguments, constant)


def _steps(
    operation: Operation,
    steps: tuple[Step, ...],
    result: np.ndarray | None,
    arguments: list,
    constant: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    made: list[np.ndarray] = []
    weights = {f"w:{w.name}": w.values for w in operation.weights}

    def operand(value: object) -> object:
        if not isinstance(value, str):
            return value
        if value == "x":
            return result
        if value.startswith("w:"):
            return constant(weights[value])
        if value.startswith("%"):
            return made[int(value[1:])]
        return arguments[int(value[1:])]

    for step in steps:
        operands = [operand(o) for o in step.operands]
        attributes = dict(step.attributes)
        made.append(elementwise.apply(step.function, operands, step.dtype, attributes))
    return made[-1] if made else result


def accumulator(x: np.ndarray, kernel: np.ndarray) -> np.dtype:
    """Element type in which products are summed: int32 for integers, else theirs."""
    joint = np.result_type(x, kernel)
    return np.dtype(np.int32) if np.issubdtype(joint, np.integer) else joint


def as_map(x: np.ndarray) -> np.ndarray:
    """A tensor as (height, width, channels): missing axes become height 1."""
    shape = x.shape if x.ndim == 4 else (1,) * (4 - x.ndim) + x.shape
    return x.reshape(shape[1:]) if shape[0] == 1 else x.reshape(shape)[0]


def patches(
    x: np.ndarray, size: tuple, strides: tuple, padding: tuple, fill: float
) -> np.ndarray:
    """Windows of a map: (height, width, channels) -> (rows, columns, c, kh, kw)."""
    x = np.pad(x, (*padding, (0, 0)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(0, 1))
    return windows[:: strides[0], :: strides[1]]


def convolve(operation: Operation, windows: np.ndarray) -> np.ndarray:
    """Multiplies windows with an operation's kernel and adds its bias.

    Args:
      operation: of kind conv2d.
      windows: (rows, columns, channels, kernel height, kernel width).

    Returns:
      (rows, columns, output channels).
    """
    kernel = operation.weight("kernel").values
    groups = operation.attribute("groups")
    rows, columns, channels, high, wide = windows.shape
    dtype = accumulator(windows, kernel)
    parts = windows.reshape(rows, columns, groups, channels // groups, high, wide)
    grouped = kernel.reshape(high, wide, channels // groups, groups, -1)
    result = np.einsum("xygcij,ijcgo->xygo", parts.astype(dtype), grouped.astype(dtype))
    return _with_bias(operation, result.reshape(rows, columns, -1))


def _with_bias(operation: Operation, result: np.ndarray) -> np.ndarray:
    bias = operation.weight("bias")
    return result if bias is None else result + bias.values


def dilated_size(operation: Operation) -> tuple[int, int]:
    """Height and width that a kernel reaches over, dilation included."""
    high, wide = operation.weight("kernel").shape[:2]
    down, across = operation.attribute("dilation")
    return (high - 1) * down + 1, (wide - 1) * across + 1


def _conv2d(operation: Operation, x: np.ndarray) -> np.ndarray:
    down, across = operation.attribute("dilation")
    windows = patches(
        as_map(x),
        dilated_size(operation),
        operation.attribute("strides"),
        operation.attribute("padding"),
        0,
    )
    return convolve(operation, windows[..., ::down, ::across])


def _dense(operation: Operation, x: np.ndarray) -> np.ndarray:
    kernel = operation.weight("kernel").values
    dtype = accumulator(x, kernel)
    return _with_bias(operation, x.reshape(-1).astype(dtype) @ kernel.astype(dtype))


def _max_pool(operation: Operation, x: np.ndarray) -> np.ndarray:
    return _windows(operation, x, lowest(x.dtype)).max((-1, -2))


def lowest(dtype: np.dtype) -> float:
    """The maximum of nothing."""
    floating = np.issubdtype(dtype, np.floating)
    return -np.inf if floating else np.iinfo(dtype).min


def _sum_pool(operation: Operation, x: np.ndarray) -> np.ndarray:
    return _windows(operation, x, 0).sum((-1, -2), dtype=x.dtype)


def _average_pool(operation: Operation, x: np.ndarray) -> np.ndarray:
    total = _windows(operation, x, 0).sum((-1, -2), dtype=x.dtype)
    return elementwise.FUNCTIONS["div"](total, pool_divisor(operation, x))


def pool_divisor(operation: Operation, x: np.ndarray) -> np.ndarray:
    """What an average pooling divides by: (rows, columns, 1), in the input's type."""
    window = operation.attribute("window")
    strides, padding = operation.attribute("strides"), operation.attribute("padding")
    shape = as_map(x).shape[:2]
    if operation.attribute("count_padding"):
        shape = tuple(n + sum(p) for n, p in zip(shape, padding, strict=True))
        padding = ((0, 0), (0, 0))
    return window_counts(shape, window, strides, padding)[..., None].astype(x.dtype)


def _windows(operation: Operation, x: np.ndarray, fill: float) -> np.ndarray:
    return patches(
        as_map(x),
        operation.attribute("window"),
        operation.attribute("strides"),
        operation.attribute("padding"),
        fill,
    )


def _reduce(operation: Operation, x: np.ndarray) -> np.ndarray:
    axes, function = operation.attribute("axes"), operation.attribute("function")
    if function == "argmax":
        return np.argmax(x, axes[0])
    if function in ("max", "min"):
        return getattr(np, function)(x, axes)
    total = np.sum(x, axes, dtype=x.dtype)
    if function == "sum":
        return total
    count = np.asarray(np.prod([x.shape[a] for a in axes]), x.dtype)
    return elementwise.FUNCTIONS["div"](total, count)


def _pad(operation: Operation, x: np.ndarray) -> np.ndarray:
    value = operation.attribute("value")
    return np.pad(x, operation.attribute("padding"), constant_values=value)


def _slice(operation: Operation, x: np.ndarray) -> np.ndarray:
    bounds = (operation.attribute(name) for name in ("start", "limit", "strides"))
    return x[tuple(slice(*b) for b in zip(*bounds, strict=True))]


def _broadcast(operation: Operation, x: np.ndarray) -> np.ndarray:
    shape = operation.attribute("shape")
    aligned = [1] * len(shape)
    for axis, place in enumerate(operation.attribute("axes")):
        aligned[place] = x.shape[axis]
    return np.broadcast_to(x.reshape(aligned), shape)


def _softmax(operation: Operation, x: np.ndarray) -> np.ndarray:
    axis = operation.attribute("axis")
    shifted = x - x.max(axis, keepdims=True)
    total = np.exp(shifted).sum(axis, keepdims=True)
    if operation.attribute("log"):
        return shifted - np.log(total)
    return np.exp(shifted) / total


_RAW: dict[str, Callable] = {
    "conv2d": _conv2d,
    "dense": _dense,
    "max_pool": _max_pool,
    "sum_pool": _sum_pool,
    "average_pool": _average_pool,
    "reduce": _reduce,
    "concatenate": lambda op, *xs: np.concatenate(xs, op.attribute("axis")),
    "pad": _pad,
    "slice": _slice,
    "transpose": lambda op, x: np.transpose(x, op.attribute("permutation")),
    "broadcast": _broadcast,
    "softmax": _softmax,
}
