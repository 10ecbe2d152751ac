"""Executes streamed tasks on views of the arena, as the C loops would.

`run_stream` pulls pixel by pixel through rings; `run_channels` runs one channel after
another through planes. All that is read comes from the arena at that moment, so rings
that are too short, or outputs that reach too far into the input, show in the result.
"""

from collections.abc import Callable

import numpy as np

from spjax.analysis import elementwise, reference, windows
from spjax.analysis.errors import CorruptedPlan
from spjax.analysis.program import Operation, Program
from spjax.analysis.schedule import Task
from spjax.analysis.stream import POOLS, accumulated, pulls_of, unit_output

Pixel = Callable[[int, int], np.ndarray]


def run_stream(
    program: Program,
    task: Task,
    source: np.ndarray,
    scratch: np.ndarray,
    output: np.ndarray,
    once: bool = False,
) -> None:
    """Runs a task of the modes ``fused``, ``row_buffer`` and ``rows``.

    Args:
      program: the program.
      task: the task.
      source: view of its input.
      scratch: view of its scratch, as bytes.
      output: view of its output.
      once: whether the input is not in memory but arrives in memory order, so that
        each pixel can be read once, and none after a later one.

    Raises:
      CorruptedPlan: if a pixel is wanted that has gone by.
    """
    stream = task.stream
    name = program.operation(task.operations[0]).inputs[0]
    if not stream.units[0]:
        name = unit_output(program, stream.units, 0, stream.accumulate)
    image = source.reshape(windows.map_shape(program, name))
    gone = -1

    def fetch(row: int, column: int) -> np.ndarray:
        nonlocal gone
        number = row * image.shape[1] + column
        if once and number <= gone:
            raise CorruptedPlan(f"pixel {number} of '{name}' has gone by.")
        gone = number
        return image[row, column]

    pulls = pulls_of(program, stream.units, stream.accumulate)
    for i, ring in enumerate(stream.rings):
        kept = unit_output(program, stream.units, i, stream.accumulate)
        pixel = _unit_pixel(program, stream.units[i], fetch)
        place = scratch[stream.offsets[i] :]
        fetch = _Ring(program, kept, pixel, pulls[i].pixels, ring, place).fetch
    if stream.accumulate is not None:
        _accumulate(program, task, fetch, scratch, output)
        return
    unit = stream.units[-1]
    pixel = _unit_pixel(program, unit, fetch)
    rows, columns, channels = windows.map_shape(program, task.output)
    flat = output.reshape(-1)
    # Alone, the unit reads its window again for every channel; after a ring, reading
    # the pixel at once is the same.
    alone = len(stream.units) == 1
    for i in range(rows * columns):
        for channel in range(channels) if alone else [slice(None)]:
            value = pixel(*divmod(i, columns))
            flat[i * channels : (i + 1) * channels][channel] = value[channel]


class _Ring:
    """The pixels of a unit's output that the next unit still needs."""

    def __init__(
        self,
        program: Program,
        name: str,
        pixel: Pixel,
        pixels: np.ndarray,
        length: int,
        place: np.ndarray,
    ):
        _, self._columns, channels = windows.map_shape(program, name)
        dtype = np.dtype(program.tensors[name].dtype)
        self._slots = np.ndarray((length, channels), dtype, place)
        self._pixel = pixel
        self._pixels = pixels  # those that something reads
        self._next = 0

    def fetch(self, row: int, column: int) -> np.ndarray:
        """A pixel, after computing all pixels up to it that are not there yet."""
        wanted = row * self._columns + column
        while self._next < len(self._pixels) and self._pixels[self._next] <= wanted:
            number = int(self._pixels[self._next])
            value = self._pixel(*divmod(number, self._columns))
            self._slots[number % len(self._slots)] = value
            self._next += 1
        return self._slots[wanted % len(self._slots)]


def _unit_pixel(program: Program, unit: tuple[str, ...], fetch: Pixel) -> Pixel:
    """All channels of one pixel of a unit's output, from pixels of its input."""
    for name in unit:
        fetch = _pixel(program, program.operation(name), fetch)
    return fetch


def _pixel(program: Program, operation: Operation, fetch: Pixel) -> Pixel:
    shape = windows.map_shape(program, operation.output)
    into = windows.map_shape(program, operation.inputs[0])
    down, across = windows.axes(program, operation)
    dtype = program.tensors[operation.output].dtype
    in_dtype = np.dtype(program.tensors[operation.inputs[0]].dtype)
    kind = operation.kind

    def finish(raw: np.ndarray | None, values: list, row: int, column: int) -> object:
        def part(array: np.ndarray) -> np.ndarray:
            whole = np.broadcast_to(array, program.tensors[operation.output].shape)
            return whole.reshape(shape)[row, column]

        result = reference.epilogue(operation, raw, values, part)
        return np.asarray(result).astype(dtype)

    def elementwise_pixel(row: int, column: int) -> np.ndarray:
        x = fetch(row, column)
        return finish(None, [x] * len(operation.inputs), row, column)

    def advance(row: int, column: int) -> None:
        """Has all pixels of a window computed before any of them is read."""
        if (
            down.last[row] >= down.first[row]
            and across.last[column] >= across.first[column]
        ):
            fetch(down.last[row], across.last[column])

    def pooled(row: int, column: int) -> np.ndarray:
        advance(row, column)
        values = [
            reference.loaded(operation, fetch(r, c))
            for r in range(down.first[row], down.last[row] + 1)
            for c in range(across.first[column], across.last[column] + 1)
        ]
        if kind == "max_pool":
            low = np.full(into[2], reference.lowest(in_dtype), in_dtype)
            return finish(np.max([low, *values], 0), [], row, column)
        total = np.sum(values, 0, dtype=np.asarray(values).dtype)
        if kind == "average_pool":
            counts = reference.pool_divisor(operation, np.empty(into, total.dtype))
            total = elementwise.FUNCTIONS["div"](total, counts[row, column])
        return finish(total, [], row, column)

    def convolved(row: int, column: int) -> np.ndarray:
        high, wide = operation.weight("kernel").shape[:2]
        steps, strides = operation.attribute("dilation"), operation.attribute("strides")
        padding = operation.attribute("padding")
        window = None
        advance(row, column)
        for i in range(high):
            for j in range(wide):
                r = row * strides[0] - padding[0][0] + i * steps[0]
                c = column * strides[1] - padding[1][0] + j * steps[1]
                if not (0 <= r < into[0] and 0 <= c < into[1]):
                    continue
                value = reference.loaded(operation, fetch(r, c))
                if window is None:
                    window = np.zeros((1, 1, into[2], high, wide), value.dtype)
                window[0, 0, :, i, j] = value
        if window is None:
            window = np.zeros((1, 1, into[2], high, wide), in_dtype)
        return finish(reference.convolve(operation, window)[0, 0], [], row, column)

    if kind == "conv2d":
        return convolved
    return pooled if kind in POOLS else elementwise_pixel


def _accumulate(
    program: Program, task: Task, fetch: Pixel, scratch: np.ndarray, output: np.ndarray
) -> None:
    """Feeds every pixel into the accumulators of the operation that ends the chain."""
    operation, units = program.operation(task.stream.accumulate), task.stream.units
    end = unit_output(program, units, len(units) - 1, operation.name)
    rows, columns, channels = windows.map_shape(program, end)
    dtype = np.dtype(program.tensors[operation.inputs[0]].dtype)
    sample = reference.loaded(operation, np.zeros(channels, dtype))
    kernel = operation.weight("kernel")
    count = output.size
    if kernel is not None:
        dtype = reference.accumulator(sample, kernel.values)
    else:
        dtype = sample.dtype
    if dtype.itemsize < 4:  # a small integer's sum is formed in 32 bits
        dtype = np.dtype(np.int32)
    sums = np.ndarray(count, dtype, scratch, task.stream.accumulators)
    function = accumulated(operation)
    low, high = reference.lowest(dtype), -reference.lowest(dtype)
    sums[...] = {"max": low, "min": high if high > 0 else 0}.get(function, 0)
    for i in range(rows * columns):
        pixel = reference.loaded(operation, fetch(*divmod(i, columns))).astype(dtype)
        if kernel is not None:
            weights = kernel.values[i * channels : (i + 1) * channels]
            sums += pixel @ weights.astype(dtype)
        elif function in ("max", "min"):
            sums[...] = elementwise.FUNCTIONS[function](sums, pixel)
        else:
            sums += pixel
    flat = output.reshape(-1)
    bias = operation.weight("bias")
    shape = program.tensors[operation.output].shape
    for u in range(count):
        total = sums[u]
        if kernel is None:
            total = total.astype(sample.dtype)
        if function == "mean":
            divisor = np.asarray(rows * columns, sample.dtype)
            total = elementwise.FUNCTIONS["div"](total, divisor)
        if bias is not None:
            total = total + bias.values[u]

        def part(array: np.ndarray, u: int = u) -> np.ndarray:
            return np.broadcast_to(array, shape).reshape(-1)[u]

        flat[u] = reference.epilogue(operation, total, [], part)


def run_channels(
    program: Program,
    task: Task,
    source: np.ndarray,
    scratch: np.ndarray,
    output: np.ndarray,
) -> None:
    """Runs a task of the mode ``channels``.

    Args:
      program: the program.
      task: the task.
      source: view of its input.
      scratch: view of its scratch, as bytes.
      output: view of its output.
    """
    operations = [program.operation(name) for name in task.operations]
    channels = output.shape[-1]
    image = source.reshape(windows.map_shape(program, operations[0].inputs[0]))
    last = output.reshape(-1, channels)
    for channel in range(channels):
        before, own = image, False
        for i, operation in enumerate(operations):
            rows, columns, _ = windows.map_shape(program, operation.output)
            if operation is operations[-1]:
                plane = last[:, channel]
            else:
                dtype = np.dtype(program.tensors[operation.output].dtype)
                offset = task.planes.offsets[i]
                plane = np.ndarray(rows * columns, dtype, scratch, offset)
            _plane(program, operation, before, own, channel, plane)
            before, own = plane.reshape(rows, columns, 1), True


def _plane(
    program: Program,
    operation: Operation,
    before: np.ndarray,
    own: bool,
    channel: int,
    plane: np.ndarray,
) -> None:
    """One channel of an operation, element by element in memory order.

    Args:
      program: the program.
      operation: the operation.
      before: its input: one plane, or the chain's input with all channels.
      own: whether it is a plane.
      channel: number of the output channel.
      plane: view of the output.
    """
    if operation.kind == "reduce":
        tensor = program.tensors[operation.inputs[0]]
        part = np.array(before).reshape(*tensor.shape[:-1], 1)
        raw = reference.raw(operation, part).reshape(-1)
        weights = _channel_part(program, operation, channel)
        plane[...] = reference.epilogue(operation, raw, [part], weights)
        return
    shape = windows.map_shape(program, operation.output)

    def fetch(row: int, column: int) -> np.ndarray:
        if not own:
            return before[row, column]
        # All channels of the pixel are this plane's: the others are not looked at.
        channels = windows.map_shape(program, operation.inputs[0])[2]
        return np.broadcast_to(before[row, column], channels)

    pixel = _pixel(program, operation, fetch)
    for i in range(shape[0] * shape[1]):
        plane[i] = pixel(*divmod(i, shape[1]))[channel]


def _channel_part(program: Program, operation: Operation, channel: int) -> Callable:
    shape = program.tensors[operation.output].shape
    return lambda array: np.broadcast_to(array, shape).reshape(-1, shape[-1])[
        :, channel
    ]
