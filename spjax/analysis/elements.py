"""One output element of an operation at a time, from memory as it is at that moment.

The simulator runs an operation this way where its output overlaps an input: every
element is computed from views of the arena and written before the next one is read,
as the C loop of a microcontroller does. The arithmetic is `reference`'s.
"""

import math
from collections.abc import Callable

import numpy as np

from spjax.analysis import elementwise, reference
from spjax.analysis.program import Operation, Program

Element = Callable[[int], np.ndarray]


def elements(
    program: Program, operation: Operation, arguments: list[np.ndarray]
) -> Element:
    """A function that computes one element of an operation's output.

    Args:
      program: the program.
      operation: the operation.
      arguments: views of its inputs; their contents may change between calls.

    Returns:
      index in memory order -> the element, in the output's type. Must be called for
      rising indices.
    """
    shape = program.tensors[operation.output].shape
    raw = _RAW[operation.kind](operation, shape, arguments)
    constants = {
        id(w.values): np.broadcast_to(w.values, shape).reshape(-1)
        for w in operation.weights
        if any(f"w:{w.name}" in step.operands for step in operation.epilogue)
    }
    spread = [_flat_index(x.shape, shape) for x in arguments]
    dtype = program.tensors[operation.output].dtype

    def element(u: int) -> np.ndarray:
        values = []
        if operation.kind == "elementwise":
            values = [
                x.reshape(-1)[i[u]] for x, i in zip(arguments, spread, strict=True)
            ]
        result = reference.epilogue(
            operation, raw(u), values, lambda array: constants[id(array)][u]
        )
        return np.asarray(result).astype(dtype)

    return element


def _flat_index(into: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Flat index into an operand for each element of a result that it spreads over."""
    index = np.arange(math.prod(into)).reshape(into)
    if index.size == math.prod(shape):
        return index.reshape(-1)
    try:
        return np.broadcast_to(index, shape).reshape(-1)
    except ValueError:
        return index.reshape(-1)


def _window(
    shape: tuple, out: tuple, size: tuple, step: tuple, strides: tuple, padding: tuple
) -> Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Rows and columns that a window covers inside a map, and their place in it."""

    def axis(position: int, i: int) -> tuple[np.ndarray, np.ndarray]:
        at = position * strides[i] - padding[i][0] + np.arange(0, size[i], step[i])
        inside = np.flatnonzero((at >= 0) & (at < shape[i]))
        return at[inside], inside

    def window(row: int, column: int) -> tuple:
        (rows, k_rows), (columns, k_columns) = axis(row, 0), axis(column, 1)
        return rows, columns, k_rows, k_columns

    return window


def _conv2d(operation: Operation, shape: tuple, arguments: list) -> Element:
    x = reference.as_map(arguments[0])
    _, columns, channels = reference.as_map(np.empty(shape, np.int8)).shape
    kernel, bias = operation.weight("kernel").values, operation.weight("bias")
    groups = operation.attribute("groups")
    per_in, per_out = x.shape[-1] // groups, channels // groups
    dtype = reference.accumulator(x, kernel)
    window = _window(
        x.shape, shape, reference.dilated_size(operation),
        operation.attribute("dilation"), operation.attribute("strides"),
        operation.attribute("padding"),
    )  # fmt: skip

    def raw(u: int) -> np.ndarray:
        pixel, channel = divmod(u, channels)
        at_rows, at_columns, k_rows, k_columns = window(*divmod(pixel, columns))
        first = channel // per_out * per_in
        part = x[np.ix_(at_rows, at_columns, range(first, first + per_in))]
        part = reference.loaded(operation, part)
        weights = kernel[np.ix_(k_rows, k_columns)][..., channel]
        total = np.sum(part.astype(dtype) * weights.astype(dtype), dtype=dtype)
        return total if bias is None else total + bias.values[channel]

    return raw


def _dense(operation: Operation, shape: tuple, arguments: list) -> Element:
    kernel, bias = operation.weight("kernel").values, operation.weight("bias")
    dtype = reference.accumulator(arguments[0], kernel)

    def raw(u: int) -> np.ndarray:
        x = reference.loaded(operation, arguments[0].reshape(-1))
        total = x.astype(dtype) @ kernel[:, u].astype(dtype)
        return total if bias is None else total + bias.values[u]

    return raw


def _pool(operation: Operation, shape: tuple, arguments: list) -> Element:
    x = reference.as_map(arguments[0])
    _, columns, channels = reference.as_map(np.empty(shape, np.int8)).shape
    kind = operation.kind
    window = _window(
        x.shape, shape, operation.attribute("window"), (1, 1),
        operation.attribute("strides"), operation.attribute("padding"),
    )  # fmt: skip
    if kind == "average_pool":
        divisors = reference.pool_divisor(operation, x)[..., 0]

    def raw(u: int) -> np.ndarray:
        pixel, channel = divmod(u, channels)
        row, column = divmod(pixel, columns)
        at_rows, at_columns, _, _ = window(row, column)
        part = reference.loaded(operation, x[np.ix_(at_rows, at_columns, [channel])])
        if kind == "max_pool":
            return part.max(initial=reference.lowest(part.dtype))
        total = part.sum(dtype=part.dtype)
        if kind == "sum_pool":
            return total
        return elementwise.FUNCTIONS["div"](total, divisors[row, column])

    return raw


def _reduce(operation: Operation, shape: tuple, arguments: list) -> Element:
    x, axes = arguments[0], operation.attribute("axes")
    kept = [i for i in range(x.ndim) if i not in axes]
    index = np.arange(x.size).reshape(x.shape).transpose(*kept, *axes)
    index = index.reshape(math.prod(shape), -1)

    def raw(u: int) -> np.ndarray:
        part = reference.loaded(operation, x.reshape(-1)[index[u]])
        function = operation.attribute("function")
        if function == "argmax":
            return np.argmax(part)
        if function in ("max", "min"):
            return getattr(part, function)()
        total = part.sum(dtype=part.dtype)
        if function == "sum":
            return total
        return elementwise.FUNCTIONS["div"](total, np.asarray(part.size, part.dtype))

    return raw


def _softmax(operation: Operation, shape: tuple, arguments: list) -> Element:
    x, axis = arguments[0], operation.attribute("axis")
    index = np.moveaxis(np.arange(x.size).reshape(x.shape), axis, -1)
    vectors = index.reshape(-1, x.shape[axis])
    vector_of = np.empty(x.size, np.int64)
    vector_of[vectors] = np.arange(len(vectors))[:, None]
    registers: dict[int, tuple] = {}

    def raw(u: int) -> np.ndarray:
        vector = int(vector_of[u])
        if vector not in registers:  # the first pass over a vector
            part = x.reshape(-1)[vectors[vector]]
            registers[vector] = part.max(), np.exp(part - part.max()).sum()
        top, total = registers[vector]
        shifted = x.reshape(-1)[u] - top
        if operation.attribute("log"):
            return shifted - np.log(total)
        return np.exp(shifted) / total

    return raw


def _move(operation: Operation, shape: tuple, arguments: list) -> Element:
    """Pure data movement: the operation on indices says where each element is from."""
    starts = np.cumsum([0, *(x.size for x in arguments)])
    indices = [
        np.arange(start, start + x.size).reshape(x.shape)
        for start, x in zip(starts, arguments, strict=False)
    ]
    if operation.kind == "pad":
        padding = operation.attribute("padding")
        where = np.pad(indices[0], padding, constant_values=-1).reshape(-1)
    else:
        where = reference.raw(operation, *indices).reshape(-1)

    def raw(u: int) -> np.ndarray:
        if where[u] < 0:
            return np.asarray(operation.attribute("value"))
        source = int(np.searchsorted(starts, where[u], "right")) - 1
        return arguments[source].reshape(-1)[where[u] - starts[source]]

    return raw


_RAW: dict[str, Callable] = {
    "conv2d": _conv2d,
    "dense": _dense,
    "max_pool": _pool,
    "average_pool": _pool,
    "sum_pool": _pool,
    "reduce": _reduce,
    "softmax": _softmax,
    "elementwise": lambda operation, shape, arguments: lambda u: None,
    **dict.fromkeys(("concatenate", "pad", "slice", "transpose", "broadcast"), _move),
}
