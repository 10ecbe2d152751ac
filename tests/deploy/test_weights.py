import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.deploy.quantised import PRECISIONS, QuantisationError
from spjax.deploy.weights import check_precision, to_levels, weight_scales


def _weights(seed, shape=(3, 3, 4, 5), sparsity=0.4):
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=shape) * rng.lognormal(0, 2, shape[-1])
    return (dense * (rng.random(shape) > sparsity)).astype(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 3))
def test_levels_are_the_nearest_values(precision, seed, factor):
    weights = _weights(seed)
    largest = PRECISIONS[precision][-1]
    scales = factor * np.abs(weights).max((0, 1, 2)) / largest + 1e-6
    levels = to_levels(weights, scales, precision)
    assert levels.dtype == np.int8
    allowed = np.array([v for v in PRECISIONS[precision] if v or precision != "int2"])
    ratio = weights[..., None] / scales[:, None]
    nearest = np.abs(ratio - allowed).min(-1)
    live = weights != 0
    np.testing.assert_allclose(
        np.abs(weights / scales - levels)[live], nearest[live], atol=1e-9
    )
    assert (levels[~live] == 0).all()
    if precision == "int2":
        assert (levels[live] != 0).all()


def test_int8_scales_are_the_largest_weights():
    weights = _weights(0)
    expected = np.abs(weights.astype(np.float64)).max((0, 1, 2)) / 127
    np.testing.assert_array_equal(weight_scales(weights, "int8"), expected)


@pytest.mark.parametrize("precision", ["int4", "int2", "ternary"])
def test_searched_scales_are_near_the_best(precision):
    weights = _weights(3, (3, 3, 24, 5)).astype(np.float64)
    flat = weights.reshape(-1, weights.shape[-1])

    def error(scales):
        made = to_levels(flat, scales, precision) * scales
        return np.square(made - flat).sum(0)

    found = error(weight_scales(weights, precision))
    widest = np.abs(flat).max(0) / PRECISIONS[precision][-1]
    finer = np.min([error(widest * f) for f in np.linspace(0.05, 1.0, 900)], 0)
    assert (found <= 1.1 * finer).all()
    assert (found <= error(widest)).all()


def test_a_channel_of_zeros_has_no_scale():
    weights = _weights(1)
    weights[..., 2] = 0
    for precision in PRECISIONS:
        scales = weight_scales(weights, precision)
        assert scales[2] == 0 and (np.delete(scales, 2) > 0).all()


def test_unknown_precisions_are_named():
    check_precision("int4", "layer 'a'")
    with pytest.raises(QuantisationError, match="layer 'a' is 'int3'; use one of int8"):
        check_precision("int3", "layer 'a'")
