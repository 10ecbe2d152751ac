"""How far an operation's output may reach into an input that dies with it.

An operation writes its output element by element in memory order, each element from
the inputs as they are at that moment. Let the output start at address 0 and a dying
input at D. Element u ends at ``b_out (u + 1)``; the elements after it read nothing
below ``b_in r(u)``, r(u) being the smallest index that any later element reads. No
value is lost before its last use exactly if ``b_out (u + 1) <= D + b_in r(u)`` for
all u::

    D = max over u of  b_out (u + 1) - b_in r(u)

D <= 0 means that the output may start where the input starts: in place. An operation
that keeps its last pixel in a temporary of its own writes a pixel at a time, which
changes u to pixels; the bound is smaller by less than the temporary.
"""

import math

import numpy as np

from spjax.analysis import reference
from spjax.analysis.program import Operation, Program

_NEVER = np.iinfo(np.int64).max // 4
_POOLS = ("max_pool", "average_pool", "sum_pool")
_MOVES = ("slice", "transpose", "broadcast", "pad")
IN_PLACE_KINDS = ("elementwise", "reduce", "softmax", *_POOLS)


def overlap_bound(
    program: Program,
    operation: Operation,
    storage: str,
    bytes_in: int = 1,
    bytes_out: int = 1,
    pixel_temporary: bool = False,
) -> int:
    """Smallest safe distance from an operation's output to one of its inputs.

    Args:
      program: the program.
      operation: the operation.
      storage: the storage that it reads, which nothing reads later.
      bytes_in: bytes of an element of that storage.
      bytes_out: bytes of an element of the output.
      pixel_temporary: whether whole pixels are computed aside before they are
        written.

    Returns:
      D in bytes: the input may start D bytes (or more) after the output's start.
      Never more than the output's size, at which the two do not overlap.
    """
    reads = [
        _first_reads(program, operation, i)
        for i, name in enumerate(operation.inputs)
        if program.storage(name) == storage
    ]
    first = np.minimum.reduce(reads)
    return bound(
        first, bytes_in, bytes_out, _group(program, operation, pixel_temporary)
    )


def bound(first: np.ndarray, bytes_in: int, bytes_out: int, group: int = 1) -> int:
    """The maximum above, from the smallest index that each element reads.

    Args:
      first: smallest input index that each output element reads, in memory order.
      bytes_in: bytes of an input element.
      bytes_out: bytes of an output element.
      group: output elements that are written together.

    Returns:
      D in bytes.
    """
    first = np.asarray(first).reshape(-1, group).min(1)
    later = np.minimum.accumulate(first[::-1])[::-1][1:]
    ends = bytes_out * group * np.arange(1, len(first))
    slack = ends - np.where(later == _NEVER, _NEVER, later * bytes_in)
    total = len(first) * group * bytes_out
    return int(min(slack.max(initial=-_NEVER), total))


def _group(program: Program, operation: Operation, pixel_temporary: bool) -> int:
    return program.tensors[operation.output].shape[-1] if pixel_temporary else 1


def _first_reads(program: Program, operation: Operation, position: int) -> np.ndarray:
    """Smallest index of one input that each output element reads."""
    shape = program.tensors[operation.inputs[position]].shape
    out = program.tensors[operation.output].shape
    kind = operation.kind
    if kind in ("conv2d", *_POOLS):
        return _windowed(operation, shape, out)
    index = np.arange(math.prod(shape)).reshape(shape)
    if kind == "elementwise":
        if index.size == math.prod(out):
            return index.reshape(-1)
        return np.broadcast_to(index, out).reshape(-1)
    if kind == "reduce":
        return index.min(operation.attribute("axes")).reshape(-1)
    if kind == "softmax":
        return _softmax(index, operation.attribute("axis"))
    if kind == "concatenate":
        parts = [
            index if i == position else np.full(program.tensors[n].shape, _NEVER)
            for i, n in enumerate(operation.inputs)
        ]
        return np.concatenate(parts, operation.attribute("axis")).reshape(-1)
    if kind in _MOVES:
        if kind == "pad":
            padding = operation.attribute("padding")
            return np.pad(index, padding, constant_values=_NEVER).reshape(-1)
        return reference.raw(operation, index).reshape(-1)
    return np.zeros(math.prod(out), np.int64)  # dense: every element reads everything


def _softmax(index: np.ndarray, axis: int) -> np.ndarray:
    """Maximum and sum of a vector are in registers before its first element is out."""
    if axis in (-1, index.ndim - 1):
        return index.reshape(-1)
    return np.broadcast_to(index.min(axis, keepdims=True), index.shape).reshape(-1)


def _windowed(operation: Operation, shape: tuple, out: tuple) -> np.ndarray:
    """Convolution and pooling: the window's first element inside the map."""
    rank = (1,) * (4 - len(shape))
    _, height, width, channels = (*rank, *shape)
    _, rows, columns, out_channels = (*rank, *out)
    (down, across), padding = (
        operation.attribute("strides"),
        operation.attribute("padding"),
    )
    if operation.kind == "conv2d":
        size = reference.dilated_size(operation)
        step = operation.attribute("dilation")
        per_group = out_channels // operation.attribute("groups")
        channel = np.arange(out_channels) // per_group
        channel = channel * (channels // operation.attribute("groups"))
    else:
        size, step = operation.attribute("window"), (1, 1)
        channel = np.arange(channels)
    top = _inside(np.arange(rows) * down - padding[0][0], size[0], step[0], height)
    left = _inside(np.arange(columns) * across - padding[1][0], size[1], step[1], width)
    first = (top[:, None] * width + left[None, :])[..., None] * channels + channel
    outside = (top[:, None] == _NEVER) | (left[None, :] == _NEVER)
    return np.where(outside[..., None], _NEVER, first).reshape(-1)


def _inside(start: np.ndarray, size: int, step: int, length: int) -> np.ndarray:
    """First position of each window that lies in 0..length-1; _NEVER if none does."""
    skipped = np.maximum(0, -(start // step))
    first = np.where(start < 0, start + skipped * step, start)
    return np.where((first < start + size) & (first < length), first, _NEVER)
