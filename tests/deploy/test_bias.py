import dataclasses

import numpy as np
import pytest

from spjax.deploy import integer
from spjax.deploy.bias import correct_biases
from spjax.deploy.floating import predict_float, run_float
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import Linear
from tests.deploy import programs


def _dense(p, x):
    return x.reshape(1, -1) @ p["a"]


def _open_means(quantised, images):
    """Mean error of each layer's channels where no integer is clamped, and its unit.

    One image and one channel after the other, with the float network's own values.
    """
    program = quantised.program
    floats = [part for part in run_float(program, images)]
    values = integer.run(quantised, quantised.scale("input").to_int8(images))
    for operation in program.operations:
        layer = quantised.operations[operation.name]
        if not isinstance(layer, Linear):
            continue
        scale = quantised.scale(operation.output)
        wanted = np.concatenate([f[operation.output] for f in floats])
        made = values[operation.output]
        unit = quantised.scale(operation.inputs[0]).scale * layer.weight_scales
        for channel in range(made.shape[-1]):
            q, w = made[..., channel].ravel(), wanted[..., channel].ravel()
            inside = [i for i, n in enumerate(q) if layer.minimum < n < layer.maximum]
            if inside:
                error = np.mean([w[i] - scale.to_float(q[i]) for i in inside])
                yield operation.name, error, unit[channel], scale.scale


def test_an_offset_of_a_layer_without_biases_is_found():
    program, _ = programs.of_function(_dense, {"a": (12, 4)}, image=(2, 2, 3))
    images = np.random.default_rng(1).normal(size=(400, 2, 2, 3)).astype(np.float32)
    (name,) = (operation.name for operation in program.operations)
    quantised = quantise(program, images)
    layer = quantised.operations[name]
    assert layer.bias is None
    unit = quantised.scale("input").scale * layer.weight_scales
    # A bias of so many units is wrong by as much: it has to be taken back.
    wrong = np.round(np.array([0.3, -0.2, 0.1, -0.4]) / unit).astype(np.int32)
    operations = {name: dataclasses.replace(layer, bias=wrong)}
    broken = dataclasses.replace(quantised, operations=operations)
    mended = correct_biases(broken, images).operations[name].bias
    np.testing.assert_allclose(mended * unit, 0, atol=0.03)
    assert (np.abs(mended) < 0.2 * np.abs(wrong)).all()


@pytest.mark.parametrize("seed", ["rich", 5, 8])
def test_what_is_left_of_the_means_is_small(seed):
    made = programs.rich() if seed == "rich" else programs.of_genome(seed)
    program, images = made
    plain = quantise(program, images, precisions="int4", clipping="minmax")
    mended = correct_biases(plain, images)
    before = [abs(e) / s for _, e, _, s in _open_means(plain, images)]
    after = [abs(e) / s for _, e, _, s in _open_means(mended, images)]
    # In steps of the outputs: what is clamped now and was not leaves a rest.
    assert np.mean(after) < 0.35 * np.mean(before)
    for name, layer in mended.operations.items():
        if isinstance(layer, Linear):
            old = plain.operations[name]
            assert layer.bias.dtype == np.int32
            assert not layer.bias.flags.writeable
            assert (layer.weights == old.weights).all()
            assert (layer.multipliers == old.multipliers).all()


def test_scores_come_nearer_to_the_floats():
    program, images = programs.of_genome(6)
    wanted = predict_float(program, images)

    def distance(quantised):
        inputs = quantised.scale("input").to_int8(images)
        (output,) = program.outputs
        scores = quantised.scale(output).to_float(integer.predict(quantised, inputs))
        return np.abs((scores - wanted).mean(0)).sum()

    plain = quantise(program, images, precisions="int4")
    assert distance(correct_biases(plain, images)) < distance(plain)


def test_large_maps_are_corrected_on_fewer_images(monkeypatch):
    from spjax.deploy import bias

    program, images = programs.of_genome(6)
    plain = quantise(program, images)
    held = sum(program.tensors[name].elements for name in program.storages)
    monkeypatch.setattr(bias, "_ELEMENTS", 3 * held)
    few = bias.correct_biases(plain, images)
    monkeypatch.undo()
    wanted = correct_biases(plain, images[:3])
    for name, layer in few.operations.items():
        if isinstance(layer, Linear):
            np.testing.assert_array_equal(layer.bias, wanted.operations[name].bias)
