"""Int8 programs: frozen types, and the definition of their arithmetic.

A `QuantisedProgram` is an `spjax.analysis.Program` (which keeps all geometry: shapes,
strides, padding, windows, axes) plus integers. Every storage is an int8 array that
stands for the real numbers ``scale * (q - zero_point)``. The arithmetic below is that
of TensorFlow Lite's reference kernels for int8, so the same integers can be run by
LiteRT (reference resolver) and TensorFlow Lite Micro with equal results. `x` are int8
inputs, ``/`` is integer division towards zero, ``>>`` an arithmetic shift (floor).

Fixed-point multiplication ``scaled(a, m, s)`` of an int32 `a` by ``m * 2**(s - 31)``,
with int32 ``0 <= m < 2**31`` and ``-31 <= s <= 0``. It rounds twice, first halves up,
then halves away from zero (the "double rounding" of TFLite; its optimised kernels and
XNNPACK round once and differ in about one result of a thousand)::

    h = (int64(a) * m + 2**30) >> 31                      # fits int32 again
    scaled = (h + 2**(-s - 1) - (1 if h < 0 else 0)) >> -s     # h itself if s == 0

No multiplier of a `QuantisedProgram` is 1 or more, so there is no left shift, and no
intermediate leaves int32. ``clamp(v) = min(max(v, minimum), maximum)``, with bounds
within -128 .. 127: that is the activation function and the saturation in one.

`Linear` (kinds conv2d and dense), for output channel c::

    acc = bias[c] + sum over the taps inside the input: (x - input_zero_point) * w
    y   = clamp(output_zero_point + scaled(acc, multipliers[c], shifts[c]))

so a padded position contributes 0 (it holds the input's zero point). No partial sum
reaches ``2**30`` in magnitude, in any order of summation: all of it fits int32.

`Pool` (kinds max_pool, average_pool; reduce max or mean over height and width, which
is one window over the whole map). Input and output have the same scale. Padded
positions take no part::

    max_pool:      y = clamp(max of the window's x)
    average_pool:  t = sum of the window's x;  n = number of them
                   y = clamp((t + n / 2) / n if t > 0 else (t - n / 2) / n)

`Addition` (elementwise add of two inputs of equal shapes)::

    a_i = scaled((x_i - input_zero_points[i]) * 2**20,
                 input_multipliers[i], input_shifts[i])                     # i = 0, 1
    y   = clamp(output_zero_point
                + scaled(a_0 + a_1, output_multiplier, output_shift))

`Copy` (concatenate; an elementwise clamp of one input). Inputs and output have the
same scale: ``y = clamp(x)``, each element to its place.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (CVPR 2018), sections 2.2 to 2.4.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from spjax import analysis


class QuantisationError(ValueError):
    """A network, calibration set or file that cannot be quantised, and why."""


@dataclasses.dataclass(frozen=True)
class TensorScale:
    """What the int8 numbers of a storage stand for: ``scale * (q - zero_point)``.

    Attributes:
      scale: positive, and exactly a float32.
      zero_point: -128 .. 127; stands for the real number 0.
    """

    scale: float
    zero_point: int

    def to_int8(self, values: np.ndarray) -> np.ndarray:
        """Real numbers, rounded to the nearest int8 (ties to even), saturated."""
        q = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.clip(q, -128, 127).astype(np.int8)

    def to_float(self, values: np.ndarray) -> np.ndarray:
        """The real numbers (float32) that int8 numbers stand for."""
        return np.float32(self.scale) * (values.astype(np.float32) - self.zero_point)


# The values that a weight of a precision may have, as multiples of its channel's
# scale. Zero is always allowed: int2 keeps it for pruned weights (a sparse codec
# stores none of them), so that each of its four codes is a value.
PRECISIONS: Mapping[str, tuple[int, ...]] = {
    "int8": tuple(range(-127, 128)),
    "int4": tuple(range(-7, 8)),
    "int2": (-3, -1, 0, 1, 3),
    "ternary": (-1, 0, 1),
}


@dataclasses.dataclass(frozen=True)
class Linear:
    """A conv2d or dense operation; arrays are read-only.

    Attributes:
      name: of the program's operation.
      weights: int8, in the layout of the program's kernel: (kernel height, kernel
        width, inputs / groups, outputs) or (inputs, outputs).
      precision: key of `PRECISIONS`; every weight is one of its values.
      weight_scales: float32 [outputs].
      bias: int32 [outputs], in units of input scale * weight scale; None if the
        operation has none (zeros).
      multipliers: int32 [outputs].
      shifts: int8 [outputs], -31 .. 0.
      input_zero_point: of the storage that is read.
      output_zero_point: of the storage that is written.
      minimum: lower bound of the output.
      maximum: upper bound of the output.
    """

    name: str
    weights: np.ndarray
    precision: str
    weight_scales: np.ndarray
    bias: np.ndarray | None
    multipliers: np.ndarray
    shifts: np.ndarray
    input_zero_point: int
    output_zero_point: int
    minimum: int = -128
    maximum: int = 127


@dataclasses.dataclass(frozen=True)
class Addition:
    """An elementwise sum of two tensors; see the module docstring."""

    name: str
    input_zero_points: tuple[int, int]
    input_multipliers: tuple[int, int]
    input_shifts: tuple[int, int]
    output_multiplier: int
    output_shift: int
    output_zero_point: int
    minimum: int = -128
    maximum: int = 127


@dataclasses.dataclass(frozen=True)
class Pool:
    """A max or average pooling: only its clamp; the rest is geometry."""

    name: str
    minimum: int = -128
    maximum: int = 127


@dataclasses.dataclass(frozen=True)
class Copy:
    """A concatenation, or an elementwise clamp: only its clamp."""

    name: str
    minimum: int = -128
    maximum: int = 127


QuantisedOperation = Linear | Addition | Pool | Copy


@dataclasses.dataclass(frozen=True)
class QuantisedProgram:
    """A program with int8 storages.

    Attributes:
      program: the graph. Types and values of its tensors and weights are those of
        the float network and mean nothing here; epilogues are the clamps.
      scales: storage name -> what its numbers stand for.
      operations: operation name -> its integers, for every operation.
    """

    program: analysis.Program
    scales: Mapping[str, TensorScale]
    operations: Mapping[str, QuantisedOperation]

    def scale(self, name: str) -> TensorScale:
        """What the numbers of a tensor or view stand for."""
        return self.scales[self.program.storage(name)]


def fixed_point(multiplier: float) -> tuple[int, int]:
    """A positive real multiplier as (m, s): ``m * 2**(s - 31)``.

    Args:
      multiplier: above 0 and below 1.

    Returns:
      ``2**30 <= m < 2**31`` and ``-31 <= s <= 0``; (0, 0) for what is too small.

    Raises:
      QuantisationError: if the multiplier is not in the range.
    """
    if not 0 < multiplier < 1:
        raise QuantisationError(f"multiplier {multiplier} is not between 0 and 1.")
    fraction, exponent = np.frexp(np.float64(multiplier))
    whole = int(np.floor(fraction * 2**31 + 0.5))
    if whole == 2**31:
        whole, exponent = whole // 2, exponent + 1
    if exponent > 0:  # rounded up to 1: the largest number below
        return 2**31 - 1, 0
    return (0, 0) if exponent < -31 else (whole, int(exponent))
