"""Quantised networks and plans to emit: of random genomes, and of plain functions."""

import jax
import jax.numpy as jnp
import numpy as np

from spjax import analysis, genomes, networks
from spjax.deploy.quantise import quantise

SHAPES = ((28, 28, 1), (32, 32, 3), (16, 16, 1))
# Every way to schedule and to share; options of the analyser.
SCHEDULES = {
    "whole none": (analysis.whole, {"sharing": "none"}),
    "whole in place": (analysis.whole, {"sharing": "in_place"}),
    "whole overlap": (analysis.whole, {"sharing": "overlap"}),
    "fused": (analysis.fused, {"sharing": "overlap"}),
    "fused in place": (analysis.fused, {"sharing": "in_place"}),
    "streamed": (analysis.streamed, {"sharing": "overlap"}),
    "streamed none": (analysis.streamed, {"sharing": "none"}),
    "streamed recompute": (analysis.streamed, {"recompute": True}),
    "row buffer": (
        analysis.streamed,
        {"sharing": "in_place", "modes": ("row_buffer",)},
    ),
    "channels": (analysis.streamed, {"modes": ("channels",)}),
    "outside": (analysis.streamed, {"count_input": False}),
    "input rows": (analysis.streamed, {"input_rows": True}),
}


def plan(program, name):
    """A plan with int8 elements, by the name of its schedule; None if it has none."""
    make, options = SCHEDULES[name]
    try:
        return analysis.plan(make(program, bytes_per_element=1, **options))
    except analysis.AnalysisError:
        assert name == "input rows"  # several operations read the image
        return None


def random_network(seed, bounds=None):
    """A random genome's network with random weights, some of them pruned.

    Returns:
      (quantised program, random int8 images).
    """
    rng = np.random.default_rng(seed)
    shape = SHAPES[seed % len(SHAPES)]
    genome = genomes.random_genome(rng, shape, bounds or genomes.Bounds())
    small = genomes.deployed_shape(genome, shape)
    variables = networks.init_variables(genome, small, 10, seed)
    sparsity = rng.choice([0, 0.5, 0.8, 0.95])

    def changed(array):
        noisy = np.asarray(array) + 0.1 * rng.random(np.shape(array))
        kept = (rng.random(np.shape(array)) >= sparsity) | (np.ndim(array) < 2)
        return np.where(kept, noisy, 0).astype(np.float32)

    program = analysis.trace(
        networks.inference_function(genome, 10),
        jax.tree.map(changed, variables),
        jax.ShapeDtypeStruct((1, *small), jnp.float32),
    )
    layers = [op.name for op in program.operations if op.kind in ("conv2d", "dense")]
    kinds = ("int8", "int8", "int4", "int2", "ternary")
    precisions = {name: str(rng.choice(kinds)) for name in layers}
    return finished(program, rng, precisions)


def finished(program, rng, precisions="int8", images=2):
    """A program, quantised on random images; and random int8 images."""
    shape = program.tensors[program.inputs[0]].shape[1:]
    calibration = rng.normal(size=(16, *shape)).astype(np.float32)
    quantised = quantise(program, calibration, precisions=precisions)
    return quantised, rng.integers(-128, 128, (images, *shape)).astype(np.int8)


def of_function(function, shape, seed=0, precisions="int8"):
    """A function of one image as a quantised network, with random images."""
    given = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    program = analysis.trace(lambda _, x: function(x), (), given)
    return finished(program, np.random.default_rng(seed), precisions)


def weights(seed, *shape):
    """Random weights, about half of them zero."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * (rng.random(shape) < 0.5)
    return values.astype(np.float32)


def conv(x, kernel, padding="SAME", strides=(1, 1), groups=1, dilation=(1, 1)):
    """A convolution, channels last."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        feature_group_count=groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def max_pool(x, window=2, strides=2, padding="VALID"):
    """A max pooling."""
    size, step = (1, window, window, 1), (1, strides, strides, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, size, step, padding)


def average_pool(x, window=2, strides=2):
    """An average pooling without padding."""
    size, step = (1, window, window, 1), (1, strides, strides, 1)
    total = jax.lax.reduce_window(x, 0.0, jax.lax.add, size, step, "VALID")
    return total / window**2
