import fractions

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.deploy.quantised import (
    PRECISIONS,
    QuantisationError,
    TensorScale,
    fixed_point,
)


@settings(max_examples=200, deadline=None)
@given(st.floats(2.0**-32, 1 - 2.0**-20, exclude_min=True))
def test_fixed_point_is_the_nearest_31_bit_number(real):
    multiplier, shift = fixed_point(real)
    assert 2**30 <= multiplier < 2**31 and -31 <= shift <= 0
    step = fractions.Fraction(1, 2 ** (31 - shift))
    assert abs(multiplier * step - fractions.Fraction(real)) <= step / 2


def test_fixed_point_of_what_is_too_small_is_zero():
    assert fixed_point(2.0**-33) == (0, 0)


@pytest.mark.parametrize("real", [0.0, 1.0, 1.5, -0.5, float("nan")])
def test_fixed_point_refuses_what_is_not_between_0_and_1(real):
    with pytest.raises(QuantisationError, match="not between 0 and 1"):
        fixed_point(real)


@given(st.floats(1e-3, 10), st.integers(-128, 127), st.integers(-128, 127))
def test_scales_go_there_and_back(scale, zero_point, q):
    made = TensorScale(float(np.float32(scale)), zero_point)
    values = made.to_float(np.array([q], np.int8))
    assert values.dtype == np.float32
    assert made.to_int8(values).tolist() == [q]
    assert values[0] == pytest.approx(scale * (q - zero_point), rel=1e-5)


def test_scales_saturate_and_keep_zero_exact():
    scale = TensorScale(0.5, -3)
    assert scale.to_int8(np.array([-1e9, 0.0, 1e9])).tolist() == [-128, -3, 127]


@pytest.mark.parametrize(
    ("name", "bits"), [("int8", 8), ("int4", 4), ("int2", 2), ("ternary", 1.6)]
)
def test_precisions_fit_their_bits(name, bits):
    values = PRECISIONS[name]
    assert list(values) == [-v for v in reversed(values)] and 0 in values
    codes = len(values) - (name == "int2")  # which has zeros where weights are pruned
    assert codes <= 2**bits < 2 * codes
