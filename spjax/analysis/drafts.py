"""Flat equations -> drafts: what each equation means for an integer runtime.

A draft is either an *anchor* (convolution, dense layer, pooling, concatenation, ..),
an *elementwise* function, or nothing at all (a reshape only renames its argument).
Which elementwise drafts become part of which anchor is decided in
`spjax.analysis.regions`.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from spjax.analysis import elementwise
from spjax.analysis._jaxpr import Equation, Flat
from spjax.analysis.errors import UnsupportedPrimitive
from spjax.analysis.folding import Folding

_LOOPS = {"scan", "while", "cond", "fori_loop"}
_RENAMES = {
    "copy", "copy_p", "stop_gradient", "name", "sharding_constraint", "pvary",
    "reduce_precision", "optimization_barrier", "device_put", "mesh_cast",
}  # fmt: skip
_REDUCTIONS = {
    "reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min", "argmax": "argmax",
}  # fmt: skip
_WAY_OUT = (
    "express it with convolutions, dense layers, pooling, elementwise functions,"
    " concatenate, pad and slice, or move it out of the function that is traced"
)


@dataclasses.dataclass
class Draft:
    """One operation or elementwise function before fusion.

    Attributes:
      kind: as in `spjax.analysis.program.KINDS`.
      inputs: value numbers of the activations that it reads.
      output: value number that it writes.
      attributes: geometry.
      kernel: value number of the kernel, and the function that brings the kernel's
        array (or, given a shape, its shape) into the layout of the operation.
      function: primitive of an elementwise draft, with its operands in order.
      source: ``file:line``.
      macs: multiply-accumulates.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    attributes: dict = dataclasses.field(default_factory=dict)
    kernel: int | None = None
    kernel_shape: tuple[int, ...] = ()
    kernel_order: tuple[int, ...] = ()
    function: str = ""
    operands: tuple[int, ...] = ()
    source: str = ""
    macs: int = 0


class Drafting:
    """Reads a flat program into drafts.

    Attributes:
      drafts: anchors and elementwise drafts in program order.
      alias: value number -> the value number that it renames.
    """

    def __init__(self, flat: Flat, folding: Folding):
        self.flat = flat
        self.folding = folding
        self.drafts: list[Draft] = []
        self.alias: dict[int, int] = {}

    def root(self, number: int) -> int:
        """The value that a chain of renamings starts from."""
        while number in self.alias:
            number = self.alias[number]
        return number

    def shape(self, number: int) -> tuple[int, ...]:
        """Shape of a value."""
        return self.flat.values[number].shape

    def read(self, equation: Equation) -> None:
        """Adds one equation that depends on an activation.

        Raises:
          UnsupportedPrimitive: if it has no counterpart.
        """
        name = equation.primitive
        if name in elementwise.FUNCTIONS:
            acts = tuple(n for n in equation.inputs if n not in self.folding)
            wanted = elementwise.ATTRIBUTES.get(name, ())
            self._add(
                equation, "elementwise", acts,
                {key: equation.params[key] for key in wanted},
                function=name, operands=equation.inputs,
            )  # fmt: skip
        elif name in _RENAMES and len(equation.inputs) == len(equation.outputs):
            pairs = zip(equation.outputs, equation.inputs, strict=True)
            self.alias.update((out, into) for out, into in pairs if out >= 0)
        elif name in _REDUCTIONS:
            axes = tuple(sorted(int(a) for a in equation.params["axes"]))
            attributes = {"function": _REDUCTIONS[name], "axes": axes}
            self._add(equation, "reduce", equation.inputs, attributes)
        elif name in _READERS:
            _READERS[name](self, equation)
        elif name in _LOOPS:
            raise self.refusal(
                equation,
                "loops over (or branches on) activations",
                "unroll it in Python, or move it out of the function that is traced",
            )
        elif equation.bodies:
            raise self.refusal(
                equation, "holds a sub-program that is not known here", _WAY_OUT
            )
        else:
            raise self.refusal(
                equation, "has no counterpart on a microcontroller runtime", _WAY_OUT
            )

    def refusal(
        self, equation: Equation, reason: str, way_out: str = _WAY_OUT
    ) -> UnsupportedPrimitive:
        """The error for an equation that cannot be lowered."""
        return UnsupportedPrimitive(
            equation.primitive, equation.source, reason, way_out
        )

    def _add(
        self,
        equation: Equation,
        kind: str,
        inputs: Sequence[int],
        attributes: dict | None = None,
        **more: object,
    ) -> None:
        self.drafts.append(
            Draft(
                kind,
                tuple(inputs),
                equation.outputs[0],
                attributes or {},
                source=equation.source,
                **more,
            )  # fmt: skip
        )

    def _only_activation(self, equation: Equation) -> None:
        if equation.inputs[0] in self.folding or any(
            n not in self.folding for n in equation.inputs[1:]
        ):
            raise self.refusal(
                equation,
                "combines two activations, or a weight with an activation the other"
                " way round,",
                "only activation times weight has a counterpart",
            )

    def _conv(self, equation: Equation) -> None:
        self._only_activation(equation)
        params = equation.params
        lhs, rhs, out = params["specs"]
        rank = len(lhs)
        channels_last = (0, rank - 1, *range(1, rank - 1))
        if lhs != channels_last or out != channels_last:
            raise self.refusal(
                equation,
                f"convolves in the layout {lhs} -> {out}",
                "use channels-last activations (NHWC)",
            )
        if rank not in (3, 4):
            raise self.refusal(
                equation, f"convolves over {rank - 2} axes", "use one or two axes"
            )
        if params["batch_group_count"] != 1 or set(params["lhs_dilation"]) != {1}:
            raise self.refusal(
                equation,
                "is transposed or grouped over the batch",
                "use a plain convolution",
            )
        kernel = equation.inputs[1]
        shape = tuple(self.shape(kernel)[i] for i in (*rhs[2:], rhs[1], rhs[0]))
        groups = int(params["feature_group_count"])
        attributes = {
            "strides": tuple(params["window_strides"]),
            "padding": tuple(tuple(p) for p in params["padding"]),
            "dilation": tuple(params["rhs_dilation"]),
            "groups": groups,
        }
        if rank == 3:  # a signal is a map of height 1
            attributes["strides"] = (1, *attributes["strides"])
            attributes["padding"] = ((0, 0), *attributes["padding"])
            attributes["dilation"] = (1, *attributes["dilation"])
            shape = (1, *shape)
        pixels = math.prod(self.shape(equation.outputs[0])[:-1])
        self._add(
            equation, "conv2d", equation.inputs[:1], attributes,
            kernel=kernel, kernel_shape=shape, macs=pixels * math.prod(shape),
            kernel_order=(*rhs[2:], rhs[1], rhs[0]),
        )  # fmt: skip

    def _dot(self, equation: Equation) -> None:
        a, b = equation.inputs
        (of_a, of_b), batch = equation.params["dimension_numbers"]
        swapped = a in self.folding
        if swapped:
            a, b, of_a, of_b = b, a, of_b, of_a
        if a in self.folding or b not in self.folding or any(batch):
            raise self.refusal(
                equation,
                "multiplies two activations",
                "only activation times weight has a counterpart",
            )
        shape, kernel = self.shape(a), self.shape(b)
        free = [n for i, n in enumerate(shape) if i not in of_a]
        rest = [i for i in range(len(kernel)) if i not in of_b]
        # Contracted axes in the order of the activation's memory.
        pairs = sorted(zip(of_a, of_b, strict=True))
        order = (*(j for _, j in pairs), *rest)
        size = math.prod(shape[i] for i in of_a)
        out = math.prod(kernel[i] for i in rest)
        flat = math.prod(free) == 1
        if not flat and (swapped or of_a != (len(shape) - 1,) or len(shape) > 4):
            raise self.refusal(
                equation,
                "contracts other axes than the last one of a map",
                "flatten the activation, or contract its channels",
            )
        if flat:
            kind, attributes, shape_ = "dense", {}, (size, out)
        else:
            kind, shape_ = "conv2d", (1, 1, size, out)
            attributes = {
                "strides": (1, 1),
                "padding": ((0, 0), (0, 0)),
                "dilation": (1, 1),
                "groups": 1,
            }
        self._add(
            equation, kind, (a,), attributes, kernel=b, kernel_shape=shape_,
            kernel_order=order, macs=math.prod(free) * size * out,
        )  # fmt: skip

    def _pool(self, equation: Equation) -> None:
        params = equation.params
        window = tuple(params["window_dimensions"])
        dilated = {*params["base_dilation"], *params["window_dilation"]} != {1}
        if dilated or window[0] != 1 or window[-1] != 1 or len(window) not in (3, 4):
            raise self.refusal(
                equation,
                f"pools over the window {window}",
                "pool over height and width, without dilation",
            )
        attributes = {
            "window": window[1:-1],
            "strides": tuple(params["window_strides"])[1:-1],
            "padding": tuple(tuple(p) for p in params["padding"])[1:-1],
        }
        if len(window) == 3:
            attributes = {
                "window": (1, *attributes["window"]),
                "strides": (1, *attributes["strides"]),
                "padding": ((0, 0), *attributes["padding"]),
            }
        kind = "max_pool" if equation.primitive == "reduce_window_max" else "sum_pool"
        self._add(equation, kind, equation.inputs, attributes)

    def _softmax(self, equation: Equation) -> None:
        self._add(equation, "softmax", equation.inputs, dict(equation.params))

    def _concatenate(self, equation: Equation) -> None:
        if any(n in self.folding for n in equation.inputs):
            raise self.refusal(
                equation, "joins a weight with an activation", "add it as a bias"
            )
        axis = int(equation.params["dimension"])
        self._add(equation, "concatenate", equation.inputs, {"axis": axis})

    def _pad(self, equation: Equation) -> None:
        config = tuple(equation.params["padding_config"])
        value = self._number(equation.inputs[1])
        negative = any(low < 0 or high < 0 or inner for low, high, inner in config)
        if value is None or negative:
            raise self.refusal(
                equation,
                "pads between elements, negatively or with a value that is no number",
                "pad outside with a number",
            )
        padding = tuple((int(low), int(high)) for low, high, _ in config)
        attributes = {"padding": padding, "value": value}
        self._add(equation, "pad", equation.inputs[:1], attributes)

    def _number(self, number: int) -> float | None:
        array = self.folding.array(number) if number in self.folding else None
        return None if array is None or array.ndim else array.item()

    def _slice(self, equation: Equation) -> None:
        params = equation.params
        start = tuple(params["start_indices"])
        strides = tuple(params["strides"] or (1,) * len(start))
        limit = tuple(params["limit_indices"])
        attributes = {"start": start, "limit": limit, "strides": strides}
        self._add(equation, "slice", equation.inputs, attributes)

    def _split(self, equation: Equation) -> None:
        shape = self.shape(equation.inputs[0])
        axis, first = int(equation.params["axis"]), 0
        for out, size in zip(equation.outputs, equation.params["sizes"], strict=True):
            start = tuple(first if i == axis else 0 for i in range(len(shape)))
            first += int(size)
            limit = tuple(first if i == axis else n for i, n in enumerate(shape))
            if out >= 0:
                attributes = {"start": start, "limit": limit}
                attributes["strides"] = (1,) * len(shape)
                one = dataclasses.replace(equation, outputs=(out,))
                self._add(one, "slice", equation.inputs, attributes)

    def _transpose(self, equation: Equation) -> None:
        order = tuple(equation.params["permutation"])
        shape = self.shape(equation.inputs[0])
        moved = [i for i in order if shape[i] > 1]
        if moved == sorted(moved):
            self._rename(equation)
            return
        attributes = {"permutation": order}
        self._add(equation, "transpose", equation.inputs, attributes)

    def _broadcast(self, equation: Equation) -> None:
        if len(equation.inputs) > 1:
            raise self.refusal(equation, "has a dynamic shape", "use static shapes")
        into = self.shape(equation.inputs[0])
        shape = tuple(equation.params["shape"])
        if math.prod(into) == math.prod(shape):
            self._rename(equation)
            return
        place = tuple(equation.params["broadcast_dimensions"])
        attributes = {"shape": shape, "axes": place}
        self._add(equation, "broadcast", equation.inputs, attributes)

    def _rename(self, equation: Equation) -> None:
        if equation.params.get("dimensions") is not None and (
            equation.primitive == "reshape"
        ):
            raise self.refusal(equation, "permutes while it reshapes", "transpose")
        self.alias[equation.outputs[0]] = equation.inputs[0]


_READERS: dict[str, Callable[[Drafting, Equation], None]] = {
    "conv_general_dilated": Drafting._conv,
    "dot_general": Drafting._dot,
    "reduce_window_max": Drafting._pool,
    "reduce_window_sum": Drafting._pool,
    "softmax": Drafting._softmax,
    "concatenate": Drafting._concatenate,
    "pad": Drafting._pad,
    "slice": Drafting._slice,
    "split": Drafting._split,
    "transpose": Drafting._transpose,
    "broadcast_in_dim": Drafting._broadcast,
    "reshape": Drafting._rename,
    "squeeze": Drafting._rename,
    "expand_dims": Drafting._rename,
}


def kernel_array(draft: Draft, folding: Folding) -> np.ndarray | None:
    """A draft's kernel in its operation's layout; None if known by shape only."""
    array = folding.array(draft.kernel)
    if array is None:
        return None
    return np.transpose(array, draft.kernel_order).reshape(draft.kernel_shape)
