"""Which rows and columns of its input an operation needs for one of its output.

Everything here is per axis, as windows are rectangles: for output positions 0..n-1 the
first and the last input position inside the map. Chained operations (a pooling over a
convolution) compose: the window of a window.
"""

import dataclasses

import numpy as np

from spjax.analysis import reference
from spjax.analysis.program import Operation, Program

WINDOWED = ("conv2d", "max_pool", "average_pool", "sum_pool")


@dataclasses.dataclass(frozen=True)
class Axis:
    """Windows along one axis.

    Attributes:
      first: first input position of each output position.
      last: last input position; smaller than ``first`` where the window lies in the
        padding as a whole.
      length: input positions.
    """

    first: np.ndarray
    last: np.ndarray
    length: int

    def of(self, inner: "Axis") -> "Axis":
        """Composes with the axis of the operation before: windows of windows."""
        some = self.last >= self.first
        first = np.where(
            some, inner.first[np.minimum(self.first, len(inner.first) - 1)], 0
        )
        last = np.where(some, inner.last[np.maximum(self.last, 0)], -1)
        return Axis(first, last, inner.length)


def map_shape(program: Program, name: str) -> tuple[int, int, int]:
    """Height, width and channels of a tensor; missing axes become height 1."""
    shape = program.tensors[name].shape
    return (1, *shape)[-3:] if len(shape) < 4 else shape[-3:]


def axes(program: Program, operation: Operation) -> tuple[Axis, Axis]:
    """Rows and columns of an operation's windows.

    Args:
      program: the program.
      operation: a convolution, a pooling, or elementwise with one input.

    Returns:
      (rows, columns).
    """
    into = map_shape(program, operation.inputs[0])
    out = map_shape(program, operation.output)
    if operation.kind not in WINDOWED:
        return tuple(Axis(np.arange(n), np.arange(n), n) for n in out[:2])  # type: ignore[return-value]
    if operation.kind == "conv2d":
        reach = reference.dilated_size(operation)
    else:
        reach = operation.attribute("window")
    result = []
    for i in range(2):
        low = operation.attribute("padding")[i][0]
        start = np.arange(out[i]) * operation.attribute("strides")[i] - low
        first = np.maximum(start, 0)
        last = np.minimum(start + reach[i] - 1, into[i] - 1)
        result.append(Axis(first, last, into[i]))
    return result[0], result[1]


def covered(axis: Axis, wanted: np.ndarray) -> np.ndarray:
    """Input positions that some wanted output position needs.

    Args:
      axis: the windows.
      wanted: one flag per output position.

    Returns:
      One flag per input position.
    """
    needed = np.zeros(axis.length, bool)
    for first, last in zip(axis.first[wanted], axis.last[wanted], strict=True):
        needed[first : last + 1] = True
    return needed
