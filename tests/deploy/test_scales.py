import dataclasses

import numpy as np
import pytest

from spjax.deploy import floating
from spjax.deploy.quantised import QuantisationError, TensorScale
from spjax.deploy.scales import (
    Observed,
    activation_scales,
    groups,
    observe,
)
from tests.deploy import programs


def _dense_chain(p, x):
    return (x.reshape(1, -1) @ p["a"]) @ p["b"]


def _chain():
    shapes = {"a": (12, 6), "b": (6, 4)}
    return programs.of_function(_dense_chain, shapes, image=(2, 2, 3))


def test_groups_are_what_copies_numbers():
    program, _ = programs.rich()
    leader = groups(program)
    assert leader.keys() == set(program.storages)
    for operation in program.operations:
        linked = {leader[name] for name in program.reads(operation)}
        linked.add(leader[operation.output])
        copies = operation.kind in ("max_pool", "average_pool", "concatenate", "reduce")
        assert (len(linked) == 1) == copies, operation.name


def test_observations_are_the_extremes_of_all_images():
    program, images = programs.rich()
    seen = observe(program, images)
    (values,) = floating.run_float(program, images)
    for name, array in values.items():
        assert seen[name].low == min(array.min(), 0)
        assert seen[name].high == max(array.max(), 0)
        assert np.isin(seen[name].sample, array).all()


def test_minmax_reaches_the_extremes_and_zero_is_exact():
    program, images = programs.rich()
    seen = observe(program, images)
    leader = groups(program)
    scales = activation_scales(program, seen, "minmax")
    for name, scale in scales.items():
        members = [n for n in leader if leader[n] == leader[name]]
        low = min(seen[n].low for n in members)
        high = max(seen[n].high for n in members)
        assert scales[leader[name]] == scale
        if name in program.outputs:
            continue
        ends = scale.scale * (np.array([-128, 127]) - scale.zero_point)
        np.testing.assert_allclose(ends, [low, high], atol=0.51 * scale.scale)
        assert scale.scale == np.float32(scale.scale)
        assert scale.to_float(scale.to_int8(np.zeros(1)))[0] == 0


def test_low_scores_saturate_and_the_largest_keep_their_order():
    program, _ = _chain()
    (output,) = program.outputs
    rng = np.random.default_rng(0)
    images = rng.normal(size=(400, 2, 2, 3)).astype(np.float32)
    scores = floating.predict_float(program, images)
    seconds = np.sort(scores, 1)[:, -2]
    low = min(0, np.quantile(seconds, 0.01))
    assert scores.min() < 1.5 * low < 0
    scale = activation_scales(program, observe(program, images))[output]
    ends = scale.scale * (np.array([-128, 127]) - scale.zero_point)
    np.testing.assert_allclose(ends, [low, scores.max()], atol=0.51 * scale.scale)
    rounded = scale.to_int8(scores)
    assert rounded.min() == -128 and (rounded.max(1) > -128).mean() >= 0.99
    wide = (scores.max() - scores.min()) / 255
    assert scale.scale < 0.8 * wide


@pytest.mark.parametrize(("mean", "std"), [(33.3, 78.6), (128.0, 50.0), (10.2, 3.0)])
def test_normalised_pixels_become_pixel_minus_128(mean, std):
    pixels = np.arange(256, dtype=np.uint8)
    images = (pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)
    program, _ = _chain()
    given = images[:252].reshape(-1, 2, 2, 3)  # 252 .. 255 are not seen
    ends = (float(images[0]), float(images[-1]))
    scale = activation_scales(program, observe(program, given), input_range=ends)
    made = scale["input"].to_int8(images)
    np.testing.assert_array_equal(made, pixels.astype(int) - 128)


def test_mse_shrinks_a_range_of_outliers_and_no_other():
    program, images = _chain()
    (hidden,) = set(program.storages) - {*program.inputs, *program.outputs}
    rng = np.random.default_rng(0)

    def chosen(sample, clipping):
        seen = observe(program, images)
        low, high = float(min(sample.min(), 0)), float(sample.max())
        seen[hidden] = Observed(low, high, sample)
        return activation_scales(program, seen, clipping)[hidden]

    def error(scale, sample):
        return np.square(scale.to_float(scale.to_int8(sample)) - sample).mean()

    flat = rng.uniform(0, 1, 20_000).astype(np.float32)
    assert chosen(flat, "mse") == chosen(flat, "minmax")
    tails = np.abs(rng.standard_t(4, 20_000)).astype(np.float32)
    shrunk, whole = chosen(tails, "mse"), chosen(tails, "minmax")
    assert shrunk.scale < whole.scale and shrunk.zero_point == -128
    assert error(shrunk, tails) < error(whole, tails)


def test_a_storage_that_is_always_zero_has_a_scale():
    program, images = _chain()
    seen = {
        name: dataclasses.replace(o, low=0.0, high=0.0, sample=0 * o.sample)
        for name, o in observe(program, images).items()
    }
    for scale in activation_scales(program, seen).values():
        assert scale == TensorScale(1.0, -128)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_images_are_counted_and_the_first_is_named(bad):
    program, images = _chain()
    images[[3, 7], 1] = bad
    with pytest.raises(QuantisationError, match=r"image 3 holds NaN .*\(2 of 24"):
        observe(program, images)


def test_no_images_and_unusable_activations_are_refused():
    program, images = _chain()
    with pytest.raises(QuantisationError, match="calibration set is empty"):
        observe(program, images[:0])
    with pytest.raises(QuantisationError, match="are not finite on the calibration"):
        observe(program, np.full_like(images, 3e38))


def test_unknown_clipping_is_refused():
    program, images = _chain()
    with pytest.raises(QuantisationError, match="clipping is 'best'; use one of mse"):
        activation_scales(program, observe(program, images), "best")
