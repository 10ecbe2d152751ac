"""Windows, convolutions and poolings of many images at once, in numpy.

Arrays have the number of images in front: (N, height, width, channels). Geometry is
read from the attributes of an `spjax.analysis.Operation`. Results have the element
type of the arguments, so that the same code serves floats and integers.
"""

import numpy as np

from spjax import analysis


def windows(
    operation: analysis.Operation, size: tuple[int, int], x: np.ndarray, fill: float
) -> np.ndarray:
    """Windows of maps.

    Args:
      operation: gives padding and strides.
      size: height and width of a window.
      x: (N, height, width, channels).
      fill: what padding holds.

    Returns:
      A view (N, rows, columns, channels, window height, window width).
    """
    padding = operation.attribute("padding")
    if any(amount for pair in padding for amount in pair):
        x = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    down, across = operation.attribute("strides")
    return view[:, ::down, ::across]


def convolve(
    operation: analysis.Operation, kernel: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Convolution without bias; padding holds zeros.

    Args:
      operation: of kind conv2d.
      kernel: (height, width, inputs / groups, outputs), of the type of `x`.
      x: (N, height, width, inputs).

    Returns:
      (N, rows, columns, outputs).
    """
    high, wide, per_group, outputs = kernel.shape
    groups = operation.attribute("groups")
    down, across = operation.attribute("dilation")
    reach = ((high - 1) * down + 1, (wide - 1) * across + 1)
    taps = windows(operation, reach, x, 0)[..., ::down, ::across]
    batch, rows, columns = taps.shape[:3]
    if groups == 1:
        flat = taps.transpose(0, 1, 2, 4, 5, 3).reshape(-1, high * wide * per_group)
        return (flat @ kernel.reshape(-1, outputs)).reshape(batch, rows, columns, -1)
    taps = taps.reshape(batch, rows, columns, groups, per_group, high, wide)
    grouped = kernel.reshape(high, wide, per_group, groups, -1)
    result = np.einsum("nxygcij,ijcgo->nxygo", taps, grouped, optimize=True)
    return result.reshape(batch, rows, columns, outputs)


def is_maximum(operation: analysis.Operation) -> bool:
    """Whether a pooling or reduction takes the maximum; else it is an average."""
    function = dict(operation.attributes).get("function")
    return operation.kind == "max_pool" or function == "max"


def max_pool(operation: analysis.Operation, x: np.ndarray) -> np.ndarray:
    """Maximum of each window, or of what a reduction reduces."""
    if operation.kind == "reduce":
        return x.max(operation.attribute("axes"))
    floating = np.issubdtype(x.dtype, np.floating)
    lowest = -np.inf if floating else np.iinfo(x.dtype).min
    return windows(operation, operation.attribute("window"), x, lowest).max((-1, -2))


def sum_pool(
    operation: analysis.Operation, x: np.ndarray, dtype: np.typing.DTypeLike
) -> tuple[np.ndarray, np.ndarray]:
    """Sum of each window, or of what a reduction reduces, and its number of elements.

    Args:
      operation: of kind average_pool or reduce.
      x: (N, height, width, channels).
      dtype: of the sums.

    Returns:
      (sums, numbers of elements inside the map), broadcastable against each other.
    """
    if operation.kind == "reduce":
        axes = operation.attribute("axes")
        count = np.prod([x.shape[axis] for axis in axes])
        return x.sum(axes, dtype=dtype), np.asarray(count, dtype)
    size = operation.attribute("window")
    inside = np.ones((1, *x.shape[1:3], 1), x.dtype)
    return tuple(
        windows(operation, size, part, 0).sum((-1, -2), dtype=dtype)
        for part in (x, inside)
    )


def work(program: analysis.Program, operation: analysis.Operation) -> int:
    """Elements that one image needs at once while an operation runs, about."""
    taps = 1
    if operation.kind == "conv2d":
        high, wide, per_group, outputs = operation.weight("kernel").shape
        groups = operation.attribute("groups")
        taps += high * wide * per_group * groups // outputs
    elif "window" in dict(operation.attributes):
        taps = int(np.prod(operation.attribute("window")))
    read = [program.tensors[name].elements for name in operation.inputs]
    return max(*read, program.tensors[operation.output].elements * taps)
