"""Elementwise functions in numpy against JAX's own primitives, value by value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from spjax.analysis import elementwise
from spjax.analysis.elementwise import apply

_REAL = np.array([-7.5, -2.5, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, 3.0, 9.25], np.float32)
_POSITIVE = np.abs(_REAL) + np.float32(0.25)
_INT = np.array([-128, -7, -3, -1, 0, 1, 2, 5, 64, 127], np.int8)
_DIVISOR = np.array([3, -2, 2, -1, 7, 5, -3, 4, -5, 10], np.int8)


@pytest.mark.parametrize(
    "name",
    [
        "neg", "abs", "sign", "square", "exp", "exp2", "expm1", "logistic", "tanh",
        "sin", "cos", "tan", "erf", "erfc", "floor", "ceil", "is_finite", "cbrt",
    ],
)  # fmt: skip
def test_of_one_real(name):
    want = np.asarray(getattr(lax, name)(_REAL))
    got = apply(name, [_REAL], str(want.dtype), {})
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["sqrt", "rsqrt", "log", "log1p"])
def test_of_one_positive(name):
    want = np.asarray(getattr(lax, name)(_POSITIVE))
    np.testing.assert_allclose(apply(name, [_POSITIVE], "float32", {}), want, rtol=2e-6)


@pytest.mark.parametrize(
    "name",
    ["add", "sub", "mul", "div", "max", "min", "rem", "atan2", "nextafter",
     "eq", "ne", "lt", "le", "gt", "ge"],
)  # fmt: skip
def test_of_two_reals(name):
    other = _REAL[::-1].copy()
    other[other == 0] = 1
    want = np.asarray(getattr(lax, name)(_REAL, other))
    got = apply(name, [_REAL, other], str(want.dtype), {})
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)


def test_power():
    want = np.asarray(lax.pow(_POSITIVE, _REAL))
    np.testing.assert_allclose(
        apply("pow", [_POSITIVE, _REAL], "float32", {}), want, rtol=1e-5
    )


@pytest.mark.parametrize("y", [-2, -1, 0, 1, 2, 5])
def test_integer_powers(y):
    want = np.asarray(lax.integer_pow(_POSITIVE, y))
    got = apply("integer_pow", [_POSITIVE], "float32", {"y": y})
    np.testing.assert_allclose(got, want, rtol=2e-6)


@pytest.mark.parametrize(
    "name", ["add", "sub", "mul", "div", "rem", "max", "min", "and_", "or_", "xor"]
)
def test_of_two_integers(name):
    """Additions wrap, divisions truncate, remainders take the dividend's sign."""
    want = np.asarray(getattr(lax, "bitwise_" + name.strip("_"), None)(_INT, _DIVISOR)
                      if name in ("and_", "or_", "xor")
                      else getattr(lax, name)(_INT, _DIVISOR))  # fmt: skip
    with np.errstate(over="ignore"):
        got = apply(name.strip("_"), [_INT, _DIVISOR], "int8", {})
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "name", ["shift_left", "shift_right_arithmetic", "shift_right_logical"]
)
def test_shifts(name):
    by = np.array([0, 1, 2, 3, 4, 5, 6, 7, 1, 2], np.int8)
    want = np.asarray(getattr(lax, name)(_INT, by))
    np.testing.assert_array_equal(apply(name, [_INT, by], "int8", {}), want)


def test_not():
    want = np.asarray(lax.bitwise_not(_INT))
    np.testing.assert_array_equal(apply("not", [_INT], "int8", {}), want)
    flags = _INT > 0
    np.testing.assert_array_equal(apply("not", [flags], "bool", {}), ~flags)


@pytest.mark.parametrize("method", [0, 1])
def test_rounding_of_halves(method):
    want = np.asarray(lax.round(_REAL, lax.RoundingMethod(method)))
    got = apply("round", [_REAL], "float32", {"rounding_method": method})
    np.testing.assert_array_equal(got, want)


def test_clamp_and_select():
    want = np.asarray(lax.clamp(np.float32(-1), _REAL, np.float32(2)))
    np.testing.assert_array_equal(
        apply("clamp", [np.float32(-1), _REAL, np.float32(2)], "float32", {}), want
    )
    which = _REAL > 0
    want = np.asarray(lax.select_n(which, _REAL, -_REAL))
    got = apply("select_n", [which, _REAL, -_REAL], "float32", {})
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("into", ["int8", "uint8", "int32", "float32", "bool"])
def test_conversions(into):
    """Reals truncate and saturate, integers wrap."""
    real = np.array([-1e9, -129.0, -1.5, -0.5, 0.0, 0.9, 127.5, 255.0, 300.0, 1e9],
                    np.float32)  # fmt: skip
    wide = np.array([-300, -129, -1, 0, 1, 127, 128, 255, 256, 70_000], np.int32)
    for x in (real, wide):
        want = np.asarray(lax.convert_element_type(x, jnp.dtype(into)))
        got = apply("convert_element_type", [x], into, {})
        np.testing.assert_array_equal(got, want)


def test_every_function_has_a_test_or_is_an_alias():
    tested = {
        "neg", "abs", "sign", "square", "exp", "exp2", "expm1", "logistic", "tanh",
        "sin", "cos", "tan", "erf", "erfc", "floor", "ceil", "is_finite", "cbrt",
        "sqrt", "rsqrt", "log", "log1p", "add", "sub", "mul", "div", "max", "min",
        "rem", "atan2", "nextafter", "eq", "ne", "lt", "le", "gt", "ge", "pow",
        "integer_pow", "and", "or", "xor", "not", "shift_left",
        "shift_right_arithmetic", "shift_right_logical", "round", "clamp", "select_n",
        "convert_element_type", "add_any",
    }  # fmt: skip
    assert set(elementwise.FUNCTIONS) == tested


def test_names_are_those_of_primitives():
    """A renamed primitive would silently become unsupported: seen here."""

    def fn(x, y):
        return (
            lax.logistic(lax.rsqrt(x)) * lax.integer_pow(y, 3)
            + lax.erf(x)
            - lax.rem(x, y),
            lax.select_n(x > y, x, y),
            lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
        )

    x = jax.ShapeDtypeStruct((3,), np.float32)
    jaxpr = jax.make_jaxpr(fn)(x, x)
    names = {eqn.primitive.name for eqn in jaxpr.eqns}
    assert names <= set(elementwise.FUNCTIONS)
