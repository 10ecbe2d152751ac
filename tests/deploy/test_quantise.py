import dataclasses

import jax
import numpy as np
import pytest

from spjax.deploy import floating, integer
from spjax.deploy.quantise import layer_precisions, quantise, with_scales
from spjax.deploy.quantised import (
    PRECISIONS,
    Addition,
    Linear,
    QuantisationError,
    TensorScale,
)
from spjax.deploy.scales import activation_scales, observe
from tests.deploy import nets, programs


def _outputs(program, quantised, images):
    (name,) = program.outputs
    inputs = quantised.scale(program.inputs[0]).to_int8(images)
    return quantised.scale(name).to_float(integer.predict(quantised, inputs))


def _expected(program, quantised, images):
    """The float network's scores, the low ones saturated as the integers do."""
    (lowest,) = quantised.scale(program.outputs[0]).to_float(np.array([-128]))
    return np.maximum(floating.predict_float(program, images), lowest)


def _noise(program, quantised, images):
    """Power of the outputs' error, as a share of that of the outputs."""
    expected = _expected(program, quantised, images)
    error = _outputs(program, quantised, images) - expected
    return np.square(error).mean() / np.square(expected - expected.mean(0)).mean()


def _check(quantised):
    for operation in quantised.operations.values():
        assert -128 <= operation.minimum <= operation.maximum <= 127
        if isinstance(operation, Linear):
            weights = operation.weights.astype(np.int64)
            assert np.isin(weights, PRECISIONS[operation.precision]).all()
            reach = 255 * np.abs(weights).reshape(-1, weights.shape[-1]).sum(0)
            bias = 0 if operation.bias is None else np.abs(operation.bias.astype(int))
            assert (reach + bias < 2**30).all()
            assert (operation.shifts <= 0).all() and (operation.shifts >= -31).all()
            assert (operation.multipliers >= 0).all()
            assert operation.weight_scales.dtype == np.float32
        if isinstance(operation, Addition):
            shifts = (*operation.input_shifts, operation.output_shift)
            assert all(-31 <= shift <= 0 for shift in shifts)


@pytest.mark.parametrize("seed", ["rich", 1, 5, 6, 8, 12])
def test_integers_are_near_the_floats(seed):
    made = programs.rich() if seed == "rich" else programs.of_genome(seed)
    program, images = made
    assert set(quantise(program, images).operations) == {
        operation.name for operation in program.operations
    }
    noise = []
    for precision in ("int8", "int4", "int2"):
        quantised = quantise(program, images, precisions=precision)
        _check(quantised)
        noise.append(_noise(program, quantised, images))
    assert noise[0] < 0.08 and noise[0] < noise[1] < noise[2]


def test_biases_and_multipliers_are_what_the_scales_say():
    program, images = programs.rich()
    quantised = quantise(program, images)
    for operation in program.operations:
        made = quantised.operations[operation.name]
        if not isinstance(made, Linear):
            continue
        product = quantised.scale(operation.inputs[0]).scale * made.weight_scales
        real = made.multipliers * 2.0 ** (made.shifts.astype(int) - 31)
        expected = product / quantised.scale(operation.output).scale
        np.testing.assert_allclose(real, expected, rtol=1e-6)
        bias = operation.weight("bias")
        assert (bias is None) == (made.bias is None)
        if bias is not None:
            np.testing.assert_allclose(
                made.bias * product, bias.values, atol=0.51 * product.max()
            )
        kernel = operation.weight("kernel").values
        np.testing.assert_allclose(
            made.weights * made.weight_scales,
            kernel,
            atol=0.51 * made.weight_scales.max(),
        )


def _changed(program, name, change):
    """The program with one weight changed."""

    def weight(old):
        if old.name != name:
            return old
        return dataclasses.replace(old, values=change(old.values.copy()))

    operations = tuple(
        dataclasses.replace(op, weights=tuple(map(weight, op.weights)))
        for op in program.operations
    )
    return dataclasses.replace(program, operations=operations)


def _layer(program, role="kernel"):
    """The second layer that has such a weight."""
    names = [w.name for op in program.operations for w in op.weights]
    return [name for name in names if name.endswith(role)][1]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_pruned_weights_stay_zero(precision):
    program, images = programs.of_genome(4)
    name = _layer(program)

    def pruned(values):
        values.reshape(-1)[::3] = 0
        return values

    program = _changed(program, name, pruned)
    quantised = quantise(program, images, precisions=precision)
    weights = quantised.operations[name.rsplit("/", 1)[0]].weights
    assert (weights.reshape(-1)[::3] == 0).all() and (weights != 0).any()


def _two_layers(p, x):
    return jax.nn.relu(x.reshape(1, -1) @ p["a"] + p["bias"]) @ p["b"]


def _pair(seed=0):
    shapes = {"a": (12, 6), "bias": (6,), "b": (6, 4)}
    return programs.of_function(_two_layers, shapes, image=(2, 2, 3), seed=seed)


def test_a_channel_without_weights_keeps_its_bias():
    program, images = _pair()
    first = program.operations[0].name

    def silent(values):
        values[:, 2] = 0
        return values

    program = _changed(program, f"{first}/kernel", silent)
    program = _changed(program, f"{first}/bias", lambda b: 0 * b + 0.7)
    quantised = quantise(program, images)
    _check(quantised)
    scale = quantised.scale(first)
    inputs = quantised.scale("input").to_int8(images)
    made = scale.to_float(integer.run(quantised, inputs)[first])[:, 2]
    np.testing.assert_allclose(made, 0.7, atol=0.51 * scale.scale)


def test_huge_biases_and_tiny_outputs_keep_the_arithmetic_s_promises():
    program, images = _pair()
    first, second = (operation.name for operation in program.operations)
    huge = _changed(program, f"{first}/bias", lambda b: 1e7 * (1 + b))
    quantised = quantise(huge, images)
    _check(quantised)
    expected = _expected(huge, quantised, images)
    np.testing.assert_allclose(
        _outputs(huge, quantised, images), expected, atol=0.02 * np.abs(expected).max()
    )
    # The second layer's weights cancel: its outputs are tiny beside its sums.
    tiny = _changed(program, f"{second}/kernel", lambda k: 1e-9 * k)
    _check(quantise(tiny, images))
    scales = activation_scales(program, observe(program, images))
    scales[second] = TensorScale(float(np.float32(1e-12)), 3)
    grown = with_scales(program, scales)
    _check(grown)
    assert grown.scales[second].scale > 1e-6
    assert grown.scales[second].zero_point == 3


def test_an_addition_with_a_tiny_output_scale_grows_it():
    program, images = programs.rich()
    scales = activation_scales(program, observe(program, images))
    (add,) = (
        op.output
        for op in program.operations
        if op.fused == "relu" and len(op.inputs) == 2
    )
    group = {n for n, s in scales.items() if s == scales[add]}
    for name in group:
        scales[name] = TensorScale(float(np.float32(1e-20)), -128)
    made = with_scales(program, scales)
    _check(made)
    assert len({made.scales[name] for name in group}) == 1


def test_precisions_per_layer():
    program, images = _pair()
    first, second = (operation.name for operation in program.operations)
    made = quantise(program, images, precisions={second: "ternary"})
    assert made.operations[first].precision == "int8"
    assert made.operations[second].precision == "ternary"
    assert layer_precisions(program, "int4") == {first: "int4", second: "int4"}
    with pytest.raises(QuantisationError, match=f"names 'dense7', .* {second}"):
        quantise(program, images, precisions={"dense7": "int4"})
    with pytest.raises(QuantisationError, match="'int5'; use one of int8"):
        quantise(program, images, precisions="int5")


def test_weights_that_are_not_finite_are_named():
    program, images = _pair()
    scales = activation_scales(program, observe(program, images))
    name = _layer(program)
    broken = _changed(program, name, lambda k: np.where(k == k.max(), np.nan, k))
    with pytest.raises(QuantisationError, match=f"weight '{name}' holds NaN"):
        with_scales(broken, scales)


def test_a_layer_between_joined_storages_is_clipped_instead():
    # A concatenation ties its input's scale to its output's: growing both for ever
    # would not bring the multiplier below one.
    quantised, *_ = nets.random_network(11)
    for operation in quantised.operations.values():
        if isinstance(operation, Linear):
            assert 0 < operation.multipliers.min() and operation.shifts.max() <= 0
    assert all(np.isfinite(s.scale) for s in quantised.scales.values())
