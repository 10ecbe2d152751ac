"""Elementwise functions in numpy, under the names and rules of JAX's primitives.

They serve three ends: folding what depends on weights only, the epilogue of an
operation in the reference evaluation, and the same epilogue in the simulator.
Integer division truncates and shifts are arithmetic, as in XLA.
"""

import math
from collections.abc import Callable

import numpy as np

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if np.issubdtype(np.result_type(a, b), np.integer):
        floor = np.floor_divide(a, b)
        inexact = floor * b != a
        return floor + (inexact & ((np.asarray(a) < 0) != (np.asarray(b) < 0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(a, b)


def _round(x: np.ndarray, rounding_method: object = 0) -> np.ndarray:
    # RoundingMethod 0 rounds halves away from zero, 1 to even.
    if int(rounding_method) == 1:
        return np.round(x)
    return np.trunc(x + np.copysign(np.nextafter(np.asarray(0.5, x.dtype), 0), x))


def _select(which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    which = np.asarray(which).astype(int)
    return np.choose(which, np.broadcast_arrays(*cases, which)[:-1])


def _logistic(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def _clamp(low: np.ndarray, x: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(x, low), high)


def _logical(x: np.ndarray) -> np.ndarray:
    return np.logical_not(x) if np.asarray(x).dtype == bool else np.invert(x)


def _shift_right_logical(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    unsigned = x.astype(np.dtype(f"u{x.dtype.itemsize}"))
    return (unsigned >> np.asarray(by).astype(unsigned.dtype)).astype(x.dtype)


FUNCTIONS: dict[str, Callable] = {
    "add": np.add, "add_any": np.add, "sub": np.subtract, "mul": np.multiply,
    "div": _divide, "rem": np.fmod, "max": np.maximum, "min": np.minimum,
    "pow": np.power, "atan2": np.arctan2, "nextafter": np.nextafter,
    "integer_pow": lambda x, y: x**y if y >= 0 else 1 / x**-y,
    "square": np.square, "sqrt": np.sqrt, "cbrt": np.cbrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "neg": np.negative, "abs": np.abs, "sign": np.sign,
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1,
    "log": np.log, "log1p": np.log1p, "logistic": _logistic,
    "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "erf": _erf, "erfc": lambda x: 1 - _erf(x),
    "floor": np.floor, "ceil": np.ceil, "round": _round, "clamp": _clamp,
    "is_finite": np.isfinite, "select_n": _select,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "not": _logical, "shift_left": np.left_shift,
    "shift_right_arithmetic": np.right_shift,
    "shift_right_logical": _shift_right_logical,
    "convert_element_type": lambda x: x,
}  # fmt: skip

# Which of a primitive's parameters its numpy function takes.
ATTRIBUTES = {"integer_pow": ("y",), "round": ("rounding_method",)}


def apply(function: str, operands: list, dtype: str, attributes: dict) -> np.ndarray:
    """Applies one elementwise function.

    Args:
      function: a key of `FUNCTIONS`.
      operands: arrays or numbers that broadcast against each other.
      dtype: element type of the result.
      attributes: keyword arguments of the function.

    Returns:
      The result, of that element type.
    """
    result = FUNCTIONS[function](*operands, **attributes)
    if function == "convert_element_type" and np.issubdtype(dtype, np.integer):
        return _to_integer(np.asarray(result), np.dtype(dtype))
    return np.asarray(result).astype(dtype, copy=False)


def _to_integer(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """XLA's conversion: floats truncate and saturate, integers wrap."""
    if not np.issubdtype(x.dtype, np.floating):
        return x.astype(dtype)
    info = np.iinfo(dtype)
    wide = np.nan_to_num(np.trunc(x.astype(np.float64)), nan=0.0)
    inside = np.clip(wide, float(info.min), float(info.max))
    # The largest 64-bit integers have no double: clip on the integer side too.
    return np.where(wide >= info.max, info.max, inside).astype(dtype)
