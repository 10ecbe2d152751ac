"""Layers as the generated C describes them: geometry, clamps, encoded weights.

Everything with a window is one kind of layer. A dense layer is a convolution of a map
of one pixel; a reduction over height and width a pooling whose window is the map; an
elementwise clamp a maximum over windows of one pixel.

The input's zero point z is folded into the bias. With x = z in the padding::

    bias + sum (x - z) w  =  (bias - z sum w) + sum x w

over all taps, inside or not, so that a product is of two int8 numbers.
"""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from spjax import analysis
from spjax.analysis.windows import map_shape
from spjax.deploy import codecs
from spjax.deploy.quantised import Copy, Linear, Pool, QuantisedProgram


class EmitError(ValueError):
    """A network or a plan that cannot be written as C, and why."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """An operation with a window.

    Attributes:
      operation: its name in the program.
      number: its position in the program.
      symbol: what its arrays are called in C.
      fields: members of ``spjax_layer`` that are numbers.
      minimum: of the output.
      maximum: of the output.
      kind: ``SPJAX_LINEAR``, ``SPJAX_MAXIMUM`` or ``SPJAX_AVERAGE``.
      encoded: of a convolution or a dense layer, its weights.
      bias: int32 per output, the input's zero point folded in; None for a pooling.
      multipliers: int32 per output; None for a pooling.
      shifts: uint8 per output, to the right; None for a pooling.
    """

    operation: str
    number: int
    symbol: str
    fields: dict[str, int]
    minimum: int
    maximum: int
    kind: str
    encoded: codecs.EncodedWeights | None = None
    bias: np.ndarray | None = None
    multipliers: np.ndarray | None = None
    shifts: np.ndarray | None = None


def layers_of(
    quantised: QuantisedProgram,
    plan: analysis.Plan,
    formats: Mapping[str, codecs.Format] | None = None,
) -> dict[str, Layer]:
    """All layers of a network, as a plan runs them.

    Args:
      quantised: the network.
      plan: the plan.
      formats: operation name -> format of its weights; of others the smallest.

    Returns:
      operation name -> layer, in program order; additions and concatenations, which
      have no window, are left out.

    Raises:
      EmitError: if an operation has no kernel, or numbers leave their C types.
    """
    program = quantised.program
    pixels = codecs.streamed_pixels(program, plan)
    encoded = codecs.encoded_weights(quantised, plan, formats)
    layers: dict[str, Layer] = {}
    symbols: set[str] = set()
    for number, operation in enumerate(program.operations):
        integers = quantised.operations[operation.name]
        pooling = isinstance(integers, Pool)
        clamp = isinstance(integers, Copy) and operation.kind == "elementwise"
        if not (isinstance(integers, Linear) or pooling or clamp):
            continue
        symbol = re.sub(r"\W", "_", operation.name)
        while symbol in symbols:
            symbol += "_"
        symbols.add(symbol)
        common = (operation.name, number, symbol)
        if isinstance(integers, Linear):
            given = encoded[operation.name], pixels.get(operation.name)
            layer = _linear(program, operation, integers, common, *given)
        else:
            kind, fields = _pooling(program, operation)
            bounds = integers.minimum, integers.maximum
            layer = Layer(*common, fields, *bounds, kind)
        _check(layer)
        layers[operation.name] = layer
    return layers


def _linear(
    program: analysis.Program,
    operation: analysis.Operation,
    linear: Linear,
    common: tuple[str, int, str],
    encoded: codecs.EncodedWeights,
    pixels: int | None,
) -> Layer:
    into = map_shape(program, operation.inputs[0])
    outputs = linear.weights.shape[-1]
    if operation.kind == "conv2d":
        high, wide, depth, _ = linear.weights.shape
        strides, steps = operation.attribute("strides"), operation.attribute("dilation")
        padding, groups = operation.attribute("padding"), operation.attribute("groups")
        fields = _geometry(
            program, operation, (high, wide), strides, padding, steps, into
        )
        fields |= {"depth": depth, "group": outputs // groups}
    else:  # a map of one pixel, or one that comes pixel by pixel
        depth = linear.weights.shape[0] // (pixels or 1)
        fields = _geometry(
            program, operation, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1, 0)
        )
        fields |= {"depth": depth, "group": outputs, "rows": 1, "columns": 1}
    fields |= {
        "taps": fields["high"] * fields["wide"],
        "padding": linear.input_zero_point,
        "zero": linear.output_zero_point,
    }
    sums = linear.weights.reshape(-1, outputs).astype(np.int64).sum(0)
    bias = np.zeros(outputs, np.int64) if linear.bias is None else linear.bias
    folded = bias.astype(np.int64) - linear.input_zero_point * sums
    if np.abs(folded).max(initial=0) >= 2**31:
        raise EmitError(
            f"operation '{operation.name}': a bias leaves 32 bits once the input's"
            " zero point is folded in."
        )
    return Layer(
        *common,
        fields,
        linear.minimum,
        linear.maximum,
        "SPJAX_LINEAR",
        encoded,
        folded.astype(np.int32),
        linear.multipliers.astype(np.int32),
        (-linear.shifts.astype(np.int64)).astype(np.uint8),
    )


def _pooling(
    program: analysis.Program, operation: analysis.Operation
) -> tuple[str, dict[str, int]]:
    into = map_shape(program, operation.inputs[0])
    none = ((0, 0), (0, 0))
    kind = "SPJAX_MAXIMUM"
    if operation.kind == "elementwise":
        window, strides, padding = (1, 1), (1, 1), none
    elif operation.kind == "reduce":
        function = operation.attribute("function")
        rank = len(program.tensors[operation.inputs[0]].shape)
        whole = operation.attribute("axes") == tuple(range(1, rank - 1)) and rank > 2
        if function not in ("max", "mean") or not whole:
            raise EmitError(
                f"operation '{operation.name}' reduces by {function} over the axes"
                f" {operation.attribute('axes')}; kernels exist for max and mean over"
                " height and width."
            )
        window, strides, padding = into[:2], (1, 1), none
        kind = "SPJAX_AVERAGE" if function == "mean" else kind
    elif operation.kind in ("max_pool", "average_pool"):
        window, strides = operation.attribute("window"), operation.attribute("strides")
        padding = operation.attribute("padding")
        if operation.kind == "average_pool":
            kind = "SPJAX_AVERAGE"
            if operation.attribute("count_padding") and np.any(padding):
                raise EmitError(
                    f"operation '{operation.name}' averages over its padding, which"
                    " has no kernel."
                )
    else:
        raise EmitError(
            f"operation '{operation.name}' is a {operation.kind}, which has no kernel."
        )
    fields = _geometry(program, operation, window, strides, padding, (1, 1), into)
    return kind, fields | {"depth": 1, "group": 1}


def _geometry(
    program: analysis.Program,
    operation: analysis.Operation,
    window: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    steps: tuple[int, int],
    into: tuple[int, int, int],
) -> dict[str, int]:
    rows, columns, outputs = map_shape(program, operation.output)
    if operation.kind == "reduce":  # its output is a vector
        rows, columns = 1, 1
    reach = [(k - 1) * d + 1 for k, d in zip(window, steps, strict=True)]
    for n, size, count, stride, (before, _) in zip(
        into, reach, (rows, columns), strides, padding, strict=False
    ):
        starts = (-before, (count - 1) * stride - before)
        if before < 0 or starts[0] + size <= 0 or starts[1] >= n:
            raise EmitError(
                f"operation '{operation.name}' has windows that lie in the padding as"
                " a whole, or negative padding, which has no kernel."
            )
    return {
        "height": into[0],
        "width": into[1],
        "rows": rows,
        "columns": columns,
        "outputs": outputs,
        "high": window[0],
        "wide": window[1],
        "down": strides[0],
        "across": strides[1],
        "apart_down": steps[0],
        "apart_across": steps[1],
        "top": padding[0][0],
        "left": padding[1][0],
    }


_BYTES = (
    "high", "wide", "down", "across", "apart_down", "apart_across", "top", "left",
    "taps",
)  # fmt: skip


def _check(layer: Layer) -> None:
    """Refuses what the C types of the description cannot hold."""
    for name, value in layer.fields.items():
        limit = 255 if name in _BYTES else 32767
        if name == "depth":
            limit = 2**32 - 1
        if value > limit:
            raise EmitError(
                f"operation '{layer.operation}' has {name} = {value}; the kernels take"
                f" {limit} at most."
            )
    for a, b in (("height", "width"), ("rows", "columns")):
        if layer.fields[a] * layer.fields[b] >= 65535:
            raise EmitError(
                f"operation '{layer.operation}' has a map of {layer.fields[a]} x"
                f" {layer.fields[b]} pixels; the kernels count to 65,534."
            )
