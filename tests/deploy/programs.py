"""Programs to quantise: random genomes, and functions with what genomes lack."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from spjax import analysis, genomes, networks

_SHAPES = [(28, 28, 1), (12, 12, 1), (16, 16, 3)]


def of_genome(seed, *, classes=10, bounds=None):
    """A random genome's program with fresh weights, and 24 random images."""
    rng = np.random.default_rng(seed)
    shape = _SHAPES[seed % len(_SHAPES)]
    genome = genomes.random_genome(rng, shape, bounds or genomes.Bounds())
    deployed = genomes.deployed_shape(genome, shape)
    variables = networks.init_variables(genome, deployed, classes, seed)
    # Fresh batch norms do nothing; shift the biases and the means a little.
    flat = networks.flatten(variables)
    for name, array in flat.items():
        if name.endswith(("/bias", "/mean")):
            flat[name] = rng.normal(0, 0.3, array.shape).astype(np.float32)
    program = analysis.trace(
        networks.inference_function(genome, classes),
        networks.unflatten(flat),
        jax.ShapeDtypeStruct((1, *deployed), np.float32),
    )
    return program, rng.normal(size=(24, *deployed)).astype(np.float32)


def of_function(fn, shapes, image=(9, 8, 3), seed=0):
    """A function's program, with random weights of the shapes given."""
    rng = np.random.default_rng(seed)
    params = {
        name: rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    program = analysis.trace(fn, params, jax.ShapeDtypeStruct((1, *image), np.float32))
    return program, rng.normal(size=(24, *image)).astype(np.float32)


def conv(x, kernel, strides=(1, 1), padding="SAME", groups=1, dilation=(1, 1)):
    """A convolution of maps (N, H, W, C)."""
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def pool(x, window, strides, padding="VALID", maximum=True):
    """A pooling; an average is over the elements inside the map."""
    size, steps = (1, *window, 1), (1, *strides, 1)
    if maximum:
        return lax.reduce_window(x, -jnp.inf, lax.max, size, steps, padding)
    total = lax.reduce_window(x, 0.0, lax.add, size, steps, padding)
    ones = jnp.ones((1, *x.shape[1:3], 1))
    return total / lax.reduce_window(ones, 0.0, lax.add, size, steps, padding)


def _rich(p, x):
    """Clips, uneven windows and strides, groups, dilation and joined maps."""
    a = jnp.clip(conv(x, p["a"], (2, 1)), 0, 6)
    b = conv(x, p["b"], (2, 1), groups=3) + p["bias"]
    c = jax.nn.relu(a + b)
    d = pool(c, (3, 2), (2, 2), "SAME")
    e = pool(c, (2, 3), (2, 2), "SAME", maximum=False)
    f = jnp.concatenate([d, e], axis=3)
    g = conv(f, p["g"], padding=((1, 2), (2, 0)), groups=2, dilation=(1, 2))
    h = jax.nn.relu(g).mean((1, 2)) @ p["h"]
    i = jax.nn.relu(conv(f, p["i"])).max((1, 2)) @ p["j"]
    return h + i


def rich(seed=0):
    """A program with most of what has an integer kernel, and images."""
    shapes = {
        "a": (3, 2, 3, 6),
        "b": (3, 3, 1, 6),
        "bias": (6,),
        "g": (2, 2, 6, 8),
        "h": (8, 5),
        "i": (1, 1, 12, 7),
        "j": (7, 5),
    }
    return of_function(_rich, shapes, seed=seed)
