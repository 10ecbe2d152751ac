import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax import genomes
from spjax.deploy import fake, integer
from spjax.deploy.quantise import layer_precisions, quantise
from spjax.deploy.quantised import PRECISIONS
from spjax.deploy.weights import to_levels
from tests.deploy import programs


def _logits(program, quantised, precisions, images):
    variables = fake.fake_variables(program, quantised.scales, precisions)

    @jax.jit
    def run(variables, images):
        return fake.fake_logits(
            program, quantised.scales, precisions, variables, images
        )

    return np.asarray(run(variables, images))


@pytest.mark.parametrize(
    ("seed", "precision"), [("rich", "int8"), (5, "ternary"), (7, "int4")]
)
def test_fake_quantisation_is_a_few_steps_from_the_integers(seed, precision):
    small = genomes.Bounds(num_blocks=(1, 2), num_convs=(1, 2))
    made = programs.rich() if seed == "rich" else programs.of_genome(seed, bounds=small)
    program, images = made
    precisions = layer_precisions(program, precision)
    quantised = quantise(program, images, precisions=precisions)
    scale = quantised.scale(program.outputs[0])
    inputs = quantised.scale(program.inputs[0]).to_int8(images)
    expected = scale.to_float(integer.predict(quantised, inputs))
    steps = (_logits(program, quantised, precisions, images) - expected) / scale.scale
    assert np.abs(steps).max() <= 16
    assert np.sqrt(np.square(steps).mean()) < 4


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_are_rounded_as_they_are_deployed(precision):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(40, 6)).astype(np.float32)
    kernel[::3] = 0
    steps = np.linspace(0.05, 0.9, 6, dtype=np.float32)
    made = np.asarray(fake.fake_weights(kernel, steps, precision))
    np.testing.assert_allclose(
        made, to_levels(kernel, steps, precision) * steps, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("precision", ["int4", "int2"])
def test_gradients_are_straight_through_and_lsq_s(precision):
    largest = PRECISIONS[precision][-1]
    kernel = jnp.array([[0.31, -0.52, 0.05, 90.0, -90.0]]).T
    steps = jnp.array([0.2])
    dkernel, dsteps = jax.grad(
        lambda k, s: fake.fake_weights(k, s, precision).sum(), argnums=(0, 1)
    )(kernel, steps)
    assert dkernel[:, 0].tolist() == pytest.approx([1, 1, 1, 0, 0])
    inside = np.asarray(kernel[:3] / steps)
    rounded = to_levels(kernel[:3], steps, precision)
    expected = (rounded - inside).sum() + largest - largest
    assert dsteps[0] == pytest.approx(expected, rel=1e-4)


def test_activations_saturate_without_a_gradient():
    program, images = programs.of_function(
        lambda p, x: jax.nn.relu(x.reshape(len(x), -1) @ p["a"]),
        {"a": (12, 6)},
        image=(2, 2, 3),
    )
    quantised = quantise(program, images)
    precisions = layer_precisions(program, "int8")
    variables = fake.fake_variables(program, quantised.scales, precisions)

    def total(images):
        made = fake.fake_logits(
            program, quantised.scales, precisions, variables, images
        )
        return made.sum()

    inside, outside = images[:1] * 0.1, images[:1] + 1e4
    gradient = jax.jit(jax.grad(total))
    assert np.abs(gradient(inside)).max() > 0
    assert np.abs(gradient(outside)).max() == 0


def test_the_input_s_scale_is_not_trained():
    program, images = programs.rich()
    quantised = quantise(program, images)
    precisions = layer_precisions(program, "int8")
    variables = fake.fake_variables(program, quantised.scales, precisions)
    assert "input" not in variables["scale"]
    assert len(variables["scale"]) < len(set(program.storages))
    layers = set(layer_precisions(program, "int8"))
    assert set(variables["kernel"]) == set(variables["weight_scale"]) == layers
