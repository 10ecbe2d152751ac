"""The function that is analysed and deployed."""

import jax
import numpy as np

from spjax import networks
from tests.networks.numpy_network import forward, random_variables
from tests.networks.test_module import CLASSES, MIXED, images

SHAPE = (14, 13, 2)
HEAVY = {
    "conv_general_dilated",
    "reduce_window_max",
    "reduce_window_sum",
    "dot_general",
    "concatenate",
}
# What may stand between them: elementwise work and reshapes, and calls around it.
LIGHT = {
    *("add", "sub", "mul", "div", "max", "rsqrt"),
    *("reshape", "broadcast_in_dim", "jit", "pjit", "custom_jvp_call"),
}


def test_traces_to_standard_primitives():
    variables = networks.variable_shapes(MIXED, SHAPE, CLASSES)
    fn = networks.inference_function(MIXED, CLASSES)
    jaxpr = jax.make_jaxpr(fn)(variables, np.zeros((1, *SHAPE), np.float32)).jaxpr
    names = {eqn.primitive.name for eqn in jaxpr.eqns}
    assert names >= HEAVY
    assert names <= HEAVY | LIGHT


def test_equals_numpy():
    variables = random_variables(np.random.default_rng(0), MIXED, SHAPE, CLASSES)
    x = images(MIXED, SHAPE)
    got = jax.jit(networks.inference_function(MIXED, CLASSES))(variables, x)
    want, _ = forward(MIXED, variables, x)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
