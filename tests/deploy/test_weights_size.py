import jax
import numpy as np
import pytest

from spjax import analysis, deploy
from spjax.analysis import Operation, Program, Weight
from spjax.deploy.codecs import model_size_encoded
from tests.deploy import programs


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_equals_the_size_of_the_quantised_network(seed):
    program, images = programs.of_genome(seed)[:2]
    quantised = deploy.quantise(program, images)
    assert deploy.encoded_size(program) == model_size_encoded(quantised)


def _shapes_only(kernel, nonzero):
    weight = Weight("conv/kernel", kernel, "float32", nonzero, ())
    operation = Operation("conv", "conv2d", ("input",), "conv", weights=(weight,))
    return Program((operation,), {}, ("input",), ("conv",))


@pytest.mark.parametrize(
    "nonzero, expected",
    [
        (None, 3 * 3 * 8 * 16 + 9 * 16),  # dense
        (600, 144 + 600 + 9 * 16),  # a bit for each of 1,152 weights
        (40, 2 * (40 + 16 + 1) + 9 * 16),  # an index for each nonzero
    ],
)
def test_the_estimate_takes_the_smallest_format(nonzero, expected):
    program = _shapes_only((3, 3, 8, 16), nonzero)
    assert deploy.expected_encoded_size(program) == expected


def test_the_estimate_is_near_what_random_places_take():
    rng = np.random.default_rng(0)
    for sparsity in (0.0, 0.3, 0.6, 0.9):
        kernel = rng.normal(size=(3, 3, 8, 16)).astype(np.float32)
        kernel *= rng.random(kernel.shape) >= sparsity

        def conv(params, x):
            return jax.lax.conv_general_dilated(
                x, params, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        x = jax.ShapeDtypeStruct((1, 6, 6, 8), np.float32)
        program = analysis.trace(conv, kernel, x)
        exact = deploy.encoded_size(program)
        assert 0.85 < deploy.expected_encoded_size(program) / exact < 1.15


def test_weights_without_values_have_no_exact_size():
    with pytest.raises(ValueError, match="weights of conv are not known"):
        deploy.encoded_size(_shapes_only((1, 1, 2, 2), None))
