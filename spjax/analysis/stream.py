"""Row streaming: a chain of operations that never holds a map as a whole.

The chain is cut into *units*. A unit is an operation with a window, then elementwise
ones, and possibly a pooling at its end, whose window of values is formed in registers
(conv + ReLU + pool fused). Each unit computes a pixel of its output when the next unit
asks for it, in memory order, into a ring of as many pixels as the next unit still
needs at once: for a kernel of k rows and columns on a map of width w, (k - 1) w + k
pixels. The last unit writes whole maps; or, if the last operation is a dense layer or
a global reduction, every pixel goes into its accumulators at once.

The first unit may be empty: then it merely copies the input's pixels into a ring, so
that the output may be written over them (a row buffer, as for a depthwise convolution
in place), or because the input is not in memory but arrives pixel by pixel. Nothing is
computed twice, except by a pooling in a unit whose windows overlap; pixels that nothing
reads are not computed at all.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spjax.analysis import windows
from spjax.analysis.program import Operation, Program
from spjax.analysis.schedule import Stream, Task

POOLS = ("max_pool", "average_pool", "sum_pool")
_ACCUMULATOR_BYTES = 4
_NEVER = 1 << 40


@dataclasses.dataclass(frozen=True)
class Pulls:
    """What one unit reads from the map before it, pixel by pixel of its own output.

    Attributes:
      pixels: indices of the output pixels that are computed, rising.
      first: smallest input pixel that each needs (beyond the map if none).
      last: largest input pixel that each needs (-1 if none).
    """

    pixels: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @property
    def reached(self) -> np.ndarray:
        """Input pixels that must have been computed, up to which."""
        return np.maximum.accumulate(self.last)

    @property
    def kept(self) -> np.ndarray:
        """Smallest input pixel that each or a later one needs."""
        return np.minimum.accumulate(self.first[::-1])[::-1]

    @property
    def ring(self) -> int:
        """Input pixels that must be kept at once."""
        return int(np.maximum(self.reached - self.kept + 1, 1).max(initial=1))


def can_stream(program: Program, operation: Operation) -> bool:
    """Whether an operation computes maps pixel by pixel from one map."""
    if operation.kind == "elementwise":
        return len(set(operation.inputs)) == 1 and _one_to_one(program, operation)
    return operation.kind in windows.WINDOWED


def can_accumulate(program: Program, operation: Operation) -> bool:
    """Whether an operation can take its input one pixel at a time."""
    if operation.kind == "dense":
        return True
    if operation.kind in POOLS:  # global: one window, which is the whole map
        sides = windows.map_shape(program, operation.inputs[0])[:2]
        alone = windows.map_shape(program, operation.output)[:2] == (1, 1)
        padded = any(map(any, operation.attribute("padding")))
        return alone and not padded and tuple(operation.attribute("window")) == sides
    if operation.kind != "reduce" or operation.attribute("function") == "argmax":
        return False
    rank = len(program.tensors[operation.inputs[0]].shape)
    return operation.attribute("axes") == tuple(range(1, rank - 1)) and rank > 2


def accumulated(operation: Operation) -> str:
    """What accumulators do with each pixel: ``sum``, ``mean``, ``max`` or ``min``."""
    pools = {"max_pool": "max", "average_pool": "mean", "dense": "sum"}
    if operation.kind == "reduce":
        return operation.attribute("function")
    return pools.get(operation.kind, "sum")


def _one_to_one(program: Program, operation: Operation) -> bool:
    into = program.tensors[operation.inputs[0]]
    return into.shape == program.tensors[operation.output].shape


def stream_task(
    program: Program,
    units: Sequence[Sequence[str]],
    accumulate: str | None,
    sizes: Mapping[str, int],
    bytes_per_element: int | None,
    sharing: str,
) -> Task:
    """One task that streams a chain.

    Args:
      program: the program.
      units: operation names by unit; each operation alone reads what the one before
        it writes. The first unit may be empty, and the only one if something
        accumulates.
      accumulate: name of an operation after the last unit that takes its input one
        pixel at a time, or None.
      sizes: bytes of all storages.
      bytes_per_element: as in `spjax.analysis.schedule.whole`.
      sharing: as there; the output may overlap the chain's input if ``overlap``.

    Returns:
      The task; its mode is ``fused`` for a single unit without a ring,
      ``row_buffer`` if the first unit copies an input that is in memory, else ``rows``.
    """
    names = [name for unit in units for name in unit]
    names += [accumulate] if accumulate else []
    last = program.operation(names[-1])
    source = program.storage(program.operation(names[0]).inputs[0])
    pulls = pulls_of(program, units, accumulate)
    outputs = [unit_output(program, units, i, accumulate) for i in range(len(units))]
    offsets, rings, scratch = [], [], 0
    for output, pull in zip(outputs, pulls[1:], strict=False):
        pixel = _element(program, output, bytes_per_element)
        pixel *= windows.map_shape(program, output)[2]
        offsets.append(scratch)
        rings.append(pull.ring)
        scratch += rings[-1] * pixel
    accumulators = scratch
    if accumulate is not None:
        count = program.tensors[last.output].elements
        scratch += count * max(_ACCUMULATOR_BYTES, bytes_per_element or 0)
    overlap: tuple[tuple[str, int], ...] = ()
    mode = "rows" if len(units) > 1 or accumulate is not None else "fused"
    if not units[0] and sizes[source]:
        mode = "row_buffer"
    if sizes[source] and (sharing == "overlap" or mode == "row_buffer"):
        distance = 0
        if accumulate is None:
            distance = _distance(program, units, pulls, source, bytes_per_element)
        if distance <= 0 or (sharing == "overlap" and distance < sizes[last.output]):
            overlap = ((source, max(0, distance)),)
    return Task(
        name=last.name,
        operations=tuple(names),
        mode=mode,
        reads=(source,),
        output=last.output,
        overlap=overlap,
        scratch=scratch,
        scratch_becomes_output=accumulate is not None,
        extra_macs=sum(_repeated(program, unit) for unit in units),
        stream=Stream(
            tuple(tuple(unit) for unit in units),
            tuple(rings),
            tuple(offsets),
            accumulate,
            accumulators,
        ),
    )


def unit_output(
    program: Program, units: Sequence[Sequence[str]], i: int, accumulate: str | None
) -> str:
    """Name of the tensor that a unit computes; an empty first one copies its input."""
    if units[i]:
        return program.operation(units[i][-1]).output
    if i + 1 < len(units):
        return program.operation(units[i + 1][0]).inputs[0]
    # Accumulators take pixels as they lie in memory, whatever the shape they read.
    return program.storage(program.operation(accumulate).inputs[0])


def _unit_axes(
    program: Program, units: Sequence[Sequence[str]], i: int, accumulate: str | None
) -> tuple[windows.Axis, ...]:
    """Rows and columns that a unit needs of its input, for one of its output."""
    unit, result = units[i], None
    if not unit:
        shape = windows.map_shape(program, unit_output(program, units, i, accumulate))
        return tuple(windows.Axis(np.arange(n), np.arange(n), n) for n in shape[:2])
    for name in reversed(unit):
        inner = windows.axes(program, program.operation(name))
        if result is None:
            result = inner
        else:
            result = tuple(o.of(i) for o, i in zip(result, inner, strict=True))
    return result or ()


def pulls_of(
    program: Program, units: Sequence[Sequence[str]], accumulate: str | None
) -> list[Pulls]:
    """What each unit (and the accumulators) reads, and which pixels it computes."""
    end = unit_output(program, units, len(units) - 1, accumulate)
    rows, columns, _ = windows.map_shape(program, end)
    wanted = [np.ones(rows, bool), np.ones(columns, bool)]
    pulls: list[Pulls] = []
    if accumulate is not None:  # one pixel after another
        pixels = np.arange(rows * columns)
        pulls.append(Pulls(pixels, pixels, pixels))
    for i in reversed(range(len(units))):
        axis = _unit_axes(program, units, i, accumulate)
        pulls.append(_pull(axis, wanted))
        wanted = [windows.covered(a, w) for a, w in zip(axis, wanted, strict=True)]
    return pulls[::-1]


def _pull(axis: tuple[windows.Axis, ...], wanted: list[np.ndarray]) -> Pulls:
    rows, columns = (np.flatnonzero(w) for w in wanted)
    down, across = axis
    width = len(across.first)
    empty = (down.last[rows] < down.first[rows])[:, None] | (
        across.last[columns] < across.first[columns]
    )
    first = down.first[rows][:, None] * across.length + across.first[columns]
    last = down.last[rows][:, None] * across.length + across.last[columns]
    beyond = down.length * across.length
    return Pulls(
        (rows[:, None] * width + columns).reshape(-1),
        np.where(empty, beyond, first).reshape(-1),
        np.where(empty, -1, last).reshape(-1),
    )


def _distance(
    program: Program,
    units: Sequence[Sequence[str]],
    pulls: list[Pulls],
    source: str,
    bytes_per_element: int | None,
) -> int:
    """The overlap bound of `spjax.analysis.overlap` for a chain."""
    output = program.operation(units[-1][-1]).output
    bytes_in = _element(program, source, bytes_per_element)
    first = next(name for unit in units for name in unit)
    bytes_in *= windows.map_shape(program, program.operation(first).inputs[0])[2]
    bytes_out = _element(program, output, bytes_per_element)
    channels = windows.map_shape(program, output)[2]
    reached = np.arange(len(pulls[-1].pixels))
    for pull, before in zip(pulls[:0:-1], pulls[-2::-1], strict=True):
        # The unit before has computed all its pixels up to those.
        computed = np.where(reached < 0, -1, pull.reached[np.maximum(reached, 0)])
        reached = np.searchsorted(before.pixels, computed, "right") - 1
    later = np.append(pulls[0].kept, _NEVER)
    ends = bytes_out * channels * (np.arange(len(reached)) + 1)
    slack = (ends - bytes_in * later[reached + 1])[:-1]
    if len(units) == 1 and channels > 1:  # no ring between input and output
        # The window is read again for every channel of a pixel.
        again = ends - bytes_out - bytes_in * pulls[0].kept
        if all(keeps_channels(program, program.operation(n)) for n in units[0]):
            again = again - bytes_in // channels * (channels - 1)
        slack = np.concatenate([slack, again])
    return int(min(slack.max(initial=0), ends[-1]))


def keeps_channels(program: Program, operation: Operation) -> bool:
    """Whether each output channel depends on the input channel of its number only."""
    if operation.kind == "conv2d":
        channels = windows.map_shape(program, operation.inputs[0])[2]
        return (
            operation.attribute("groups") == channels
            and windows.map_shape(program, operation.output)[2] == channels
        )
    return can_stream(program, operation)


def _repeated(program: Program, unit: Sequence[str]) -> int:
    """Multiply-accumulates that a unit does again, where pooling windows overlap."""
    if not unit:
        return 0
    shape = windows.map_shape(program, program.operation(unit[-1]).output)
    times = [np.ones(n, int) for n in shape[:2]]
    repeated = 0
    for name in reversed(unit):
        operation = program.operation(name)
        if operation.macs:
            count = np.multiply.outer(*times)
            each = operation.macs // count.size
            repeated += each * int(np.maximum(count - 1, 0).sum())
        axis = windows.axes(program, operation)
        before = []
        for a, t in zip(axis, times, strict=True):
            counts = np.zeros(a.length, int)
            for first, last, n in zip(a.first, a.last, t, strict=True):
                counts[first : last + 1] += n
            before.append(counts)
        times = before
    return repeated


def _element(program: Program, name: str, bytes_per_element: int | None) -> int:
    return bytes_per_element or np.dtype(program.tensors[name].dtype).itemsize
