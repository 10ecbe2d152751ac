"""Streamed tasks as tables of units, and the clamps that they absorb.

A unit of `spjax.analysis.stream` is an operation with a window, elementwise ones, and
possibly a pooling. In C it is one layer, or a convolution with a pooling on top: an
elementwise clamp becomes part of the layer before it. What it reads and computes is
worked out here, by the analyser's own functions.
"""

import dataclasses

import numpy as np

from spjax import analysis
from spjax.analysis.stream import pulls_of, unit_output
from spjax.analysis.windows import map_shape
from spjax.deploy.emit.layers import EmitError, Layer


@dataclasses.dataclass(frozen=True)
class Unit:
    """A member of a table of ``spjax_unit``.

    Attributes:
      role: ``SPJAX_TAKES``, ``SPJAX_WINDOW``, ``SPJAX_POOLED``, ``SPJAX_GROWN`` or
        ``SPJAX_SUMS``.
      layer: operation of its window, or of the sums; None if it merely takes pixels.
      pool: operation of the pooling formed on top of it, or None.
      place: offset in the arena of its ring, its output, or its sums, in bytes.
      pixels: of the ring or the output.
      shape: (rows, columns, channels) of what it computes.
      wanted: a bit for each row, then for each column, in bytes; None if all pixels
        are read by something.
    """

    role: str
    layer: str | None
    pool: str | None
    place: int
    pixels: int
    shape: tuple[int, int, int]
    wanted: np.ndarray | None = None


def absorb_clamps(plan: analysis.Plan, layers: dict[str, Layer]) -> dict[str, Layer]:
    """Puts the clamps inside of streamed units into the layers before them.

    Args:
      plan: the plan.
      layers: operation name -> layer.

    Returns:
      The layers, without those that others have absorbed.
    """
    layers = dict(layers)
    program = plan.schedule.program
    for task in plan.steps:
        for unit in task.stream.units if task.stream else ():
            kept = unit[:1]
            for name in unit[1:]:
                if program.operation(name).kind == "elementwise" and name in layers:
                    layers[kept[-1]] = _clamped(layers[kept[-1]], layers.pop(name))
                else:
                    kept = (*kept, name)
    return layers


def _clamped(layer: Layer, clamp: Layer) -> Layer:
    def within(value: int) -> int:
        return min(max(value, clamp.minimum), clamp.maximum)

    return dataclasses.replace(
        layer, minimum=within(layer.minimum), maximum=within(layer.maximum)
    )


def units_of(
    plan: analysis.Plan, task: analysis.Task, layers: dict[str, Layer]
) -> list[Unit]:
    """The units of a streamed task, the sums at its end included.

    Args:
      plan: the plan.
      task: one of its steps, with a ``stream``.
      layers: what `absorb_clamps` returned.

    Returns:
      The units, in order.

    Raises:
      EmitError: if a unit has no kernel.
    """
    program, stream = plan.schedule.program, task.stream
    scratch = plan.offset(f"{task.name}/scratch") if task.scratch else 0
    pulls = pulls_of(program, stream.units, stream.accumulate)
    units = []
    for i, names in enumerate(stream.units):
        made = unit_output(program, stream.units, i, stream.accumulate)
        shape = map_shape(program, made)
        if i < len(stream.rings):
            place, pixels = scratch + stream.offsets[i], stream.rings[i]
        else:
            place, pixels = plan.offset(task.output), shape[0] * shape[1]
        role, layer, pool = _role(task, names, layers)
        wanted = _wanted(pulls[i].pixels, shape)
        units.append(Unit(role, layer, pool, place, pixels, shape, wanted))
    if stream.accumulate is not None:
        sums = scratch + stream.accumulators
        layer = stream.accumulate
        units.append(Unit("SPJAX_SUMS", layer, None, sums, 1, units[-1].shape))
    return units


def _role(
    task: analysis.Task, names: tuple[str, ...], layers: dict[str, Layer]
) -> tuple[str, str | None, str | None]:
    kept = [name for name in names if name in layers]
    if not names:
        return "SPJAX_TAKES", None, None
    if len(kept) == 1:
        return "SPJAX_WINDOW", kept[0], None
    if len(kept) == 2 and layers[kept[0]].kind == "SPJAX_LINEAR":
        # A unit's ring or output is no input of it: a maximum may grow there.
        grows = layers[kept[1]].kind == "SPJAX_MAXIMUM"
        return "SPJAX_GROWN" if grows else "SPJAX_POOLED", kept[0], kept[1]
    raise EmitError(
        f"task '{task.name}' computes {', '.join(names)} in registers; the kernels know"
        " a convolution and one pooling."
    )


def _wanted(pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray | None:
    rows, columns, _ = shape
    if pixels.size == rows * columns:
        return None
    bits = np.zeros(rows + columns, bool)
    bits[pixels // columns] = True
    bits[rows + pixels % columns] = True
    return np.packbits(bits, bitorder="little")
