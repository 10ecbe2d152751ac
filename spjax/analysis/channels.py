"""Channel streaming: a chain that runs one channel at a time, end to end.

Where every operation but the first keeps channels apart (depthwise convolutions,
poolings, elementwise functions), all of them can run for one channel before the next
one begins. What is needed is the chain's input, the planes of one channel, one after
another and overlapping as far as they may, and the last map of all channels. The first
operation may be any convolution: it computes one output channel from the whole input.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from spjax.analysis import windows
from spjax.analysis.overlap import bound
from spjax.analysis.packing import Buffer
from spjax.analysis.placement import place
from spjax.analysis.program import Operation, Program
from spjax.analysis.schedule import Planes, Task
from spjax.analysis.stream import can_accumulate, can_stream, keeps_channels


def can_start(program: Program, operation: Operation) -> bool:
    """Whether an operation can be the first one of a chain run by channels."""
    return can_stream(program, operation)


def can_follow(program: Program, operation: Operation) -> bool:
    """Whether an operation can run for one channel after others of a chain."""
    if operation.kind == "reduce":
        return can_accumulate(program, operation)
    return keeps_channels(program, operation)


def channel_task(
    program: Program,
    names: Sequence[str],
    sizes: Mapping[str, int],
    bytes_per_element: int | None,
    sharing: str,
) -> Task:
    """One task that runs a chain one channel at a time.

    Args:
      program: the program.
      names: two or more operations, each alone reading what the one before it writes.
      sizes: bytes of all storages.
      bytes_per_element: as in `spjax.analysis.schedule.whole`.
      sharing: as there; planes overlap under it as whole maps would.

    Returns:
      The task.
    """
    operations = [program.operation(name) for name in names]
    planes = [op.output for op in operations[:-1]]
    buffers, shared = [], {}
    for i, plane in enumerate(planes):
        height, width, _ = windows.map_shape(program, plane)
        size = bytes_per_element or np.dtype(program.tensors[plane].dtype).itemsize
        buffers.append(Buffer(plane, height * width * size, i, i + 1))
    for i, op in enumerate(operations[1:-1]):
        distance = _plane_distance(program, op, buffers[i], buffers[i + 1])
        if sharing == "overlap" or (
            sharing == "in_place" and distance == 0 and op.kind != "conv2d"
        ):
            shared[i + 1, i] = distance
    placed = place(buffers, shared, _least(buffers, shared))
    first, last = operations[0], operations[-1]
    return Task(
        name=last.name,
        operations=tuple(names),
        mode="channels",
        reads=(program.storage(first.inputs[0]),),
        output=last.output,
        scratch=placed.arena,
        planes=Planes(placed.offsets),
    )


def _plane_distance(
    program: Program, operation: Operation, before: Buffer, after: Buffer
) -> int:
    """The overlap bound between two planes of one channel."""
    rows, columns = windows.axes(program, operation)
    first = rows.first[:, None] * columns.length + columns.first
    empty = (rows.last < rows.first)[:, None] | (columns.last < columns.first)
    first = np.where(empty, rows.length * columns.length, first)
    bytes_in = before.size // (rows.length * columns.length)
    bytes_out = after.size // first.size
    return max(0, bound(first.reshape(-1), bytes_in, bytes_out))


def _least(buffers: Sequence[Buffer], shared: Mapping) -> int:
    """Bytes that two neighbouring planes need at least."""
    least = max((b.size for b in buffers), default=0)
    for i, (a, b) in enumerate(zip(buffers, buffers[1:], strict=False)):
        distance = shared.get((i + 1, i))
        pair = a.size + b.size if distance is None else max(b.size, distance + a.size)
        least = max(least, pair)
    return least
