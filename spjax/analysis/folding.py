"""Values that depend on parameters and constants only: what a converter folds.

Each is kept as an expression and computed in numpy when it is asked for, or known
by its shape alone where parameters were given as shapes. ``axes`` are the axes along
which a value may vary: a bias broadcast to a whole map still varies along its
channels only, and is stored as one number per channel.
"""

import dataclasses
import math

import numpy as np

from spjax.analysis import elementwise
from spjax.analysis._jaxpr import Equation, Flat


@dataclasses.dataclass(frozen=True)
class Folded:
    """One weight-only value.

    Attributes:
      shape: dimensions.
      dtype: element type.
      axes: axes along which it may vary.
      paths: parameters (and captured arrays) that it depends on.
      known: whether its value can be computed.
    """

    shape: tuple[int, ...]
    dtype: str
    axes: frozenset[int]
    paths: frozenset[str]
    known: bool


class Folding:
    """The weight-only part of a flat program."""

    def __init__(self, flat: Flat):
        self._flat = flat
        self._folded: dict[int, Folded] = {}
        self._by: dict[int, tuple[Equation, int]] = {}
        self._arrays: dict[int, np.ndarray] = {}
        for number, value in enumerate(flat.values):
            if value.kind in ("parameter", "constant", "literal"):
                axes = frozenset(i for i, n in enumerate(value.shape) if n > 1)
                paths = frozenset([value.path]) if value.path else frozenset()
                known = value.array is not None
                self._folded[number] = Folded(
                    value.shape, value.dtype, axes, paths, known
                )
                if known:
                    self._arrays[number] = value.array

    def __contains__(self, number: int) -> bool:
        return number in self._folded

    def __getitem__(self, number: int) -> Folded:
        return self._folded[number]

    def absorb(self, equation: Equation) -> bool:
        """Takes an equation in if all its inputs are weight-only."""
        if not all(number in self._folded for number in equation.inputs):
            return False
        operands = [self._folded[number] for number in equation.inputs]
        paths = frozenset().union(*(f.paths for f in operands))
        known = all(f.known for f in operands)
        for position, number in enumerate(equation.outputs):
            if number < 0:
                continue
            value = self._flat.values[number]
            axes = _varying_axes(equation, operands, value.shape)
            self._folded[number] = Folded(value.shape, value.dtype, axes, paths, known)
            self._by[number] = (equation, position)
        return True

    def array(self, number: int) -> np.ndarray | None:
        """The value of a weight-only number; None if it is known by shape only."""
        if not self._folded[number].known:
            return None
        if number not in self._arrays:
            equation, position = self._by[number]
            operands = [self.array(n) for n in equation.inputs]
            result = _evaluate(equation, operands, self._folded[number].dtype)
            if result is None:
                # Rare primitives: JAX itself computes them, once.
                for other, value in zip(
                    equation.outputs, equation.bind(*operands), strict=True
                ):
                    self._arrays[other] = value
            else:
                self._arrays[number] = result
        return self._arrays[number]

    def compact(self, number: int) -> np.ndarray | None:
        """The value with every axis along which it cannot vary cut to length 1."""
        array = self.array(number)
        if array is None:
            return None
        axes = self._folded[number].axes
        cut = tuple(
            slice(None) if i in axes else slice(0, 1) for i in range(array.ndim)
        )
        return array[cut]


def _varying_axes(equation: Equation, operands: list, shape: tuple) -> frozenset[int]:
    """Axes along which the result of an equation may vary."""
    everything = frozenset(i for i, n in enumerate(shape) if n > 1)
    name = equation.primitive
    if name in elementwise.FUNCTIONS:
        axes = frozenset().union(
            *(f.axes for f in operands if len(f.shape) == len(shape))
        )
        return axes & everything
    if name == "broadcast_in_dim":
        place = equation.params["broadcast_dimensions"]
        return frozenset(place[i] for i in operands[0].axes)
    if name in ("reshape", "squeeze", "expand_dims"):
        # Axes keep their meaning where only axes of length 1 come and go.
        before = [i for i, n in enumerate(operands[0].shape) if n > 1]
        after = [i for i, n in enumerate(shape) if n > 1]
        if [operands[0].shape[i] for i in before] == [shape[i] for i in after]:
            moved = dict(zip(before, after, strict=True))
            return frozenset(moved[i] for i in operands[0].axes)
    return everything


def _evaluate(equation: Equation, operands: list, dtype: str) -> np.ndarray | None:
    """The result in numpy, or None where numpy has no short way."""
    name, params = equation.primitive, equation.params
    if name in elementwise.FUNCTIONS:
        wanted = elementwise.ATTRIBUTES.get(name, ())
        attributes = {key: params[key] for key in wanted}
        return elementwise.apply(name, operands, dtype, attributes)
    x = operands[0] if operands else None
    if name == "reshape":
        if params.get("dimensions") is None:
            return x.reshape(params["new_sizes"])
    elif name == "squeeze":
        return np.squeeze(x, tuple(params["dimensions"]))
    elif name == "transpose":
        return np.transpose(x, params["permutation"])
    elif name == "broadcast_in_dim":
        shape = params["shape"]
        aligned = [1] * len(shape)
        for axis, place in enumerate(params["broadcast_dimensions"]):
            aligned[place] = x.shape[axis]
        return np.broadcast_to(np.reshape(x, aligned), shape)
    elif name in ("stop_gradient", "copy", "copy_p", "device_put"):
        return x
    elif name == "reduce_window_sum" and _is_uniform(x):
        return _window_sum(x, params).astype(dtype)
    return None


def _is_uniform(x: np.ndarray) -> bool:
    return x.size > 0 and all(stride == 0 or n == 1 for stride, n in
                              zip(x.strides, x.shape, strict=True))  # fmt: skip


def _window_sum(x: np.ndarray, params: dict) -> np.ndarray:
    """Window sums of a uniform array: its value times the elements in the window."""
    counts = np.ones((), np.float64)
    windows = zip(
        x.shape, params["window_dimensions"], params["window_strides"],
        params["padding"], params["window_dilation"], params["base_dilation"],
        strict=True,
    )  # fmt: skip
    for n, window, stride, (low, high), dilation, base in windows:
        inside = np.zeros(low + (n - 1) * base + 1 + high)
        inside[low : low + (n - 1) * base + 1 : base] = 1
        reach = (window - 1) * dilation + 1
        starts = range(0, len(inside) - reach + 1, stride)
        sums = np.array([inside[s : s + reach : dilation].sum() for s in starts])
        counts = np.multiply.outer(counts, sums)
    return counts * x.flat[0] if math.prod(x.shape) else counts
