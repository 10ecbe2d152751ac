"""Seeded initial weights, drawn with NumPy.

He et al. (ICCV 2015): a kernel before a ReLU is drawn from N(0, 2 / fan_in), a linear
one from N(0, 1 / fan_in). Biases and running means start at 0, scales and running
variances at 1.

JAX's own samplers compile a program for each distinct shape, which costs a search
more than training a small network; NumPy compiles nothing. Each tensor has a stream
of its own, keyed by its name: the weights of a layer do not depend on what else is
in the genome.
"""

import zlib

import jax
import numpy as np

from spjax.genomes.genome import Genome
from spjax.networks.variable_shapes import variable_shapes

_LINEAR = ("classifier", "reduce", "shortcut")


def init_variables(
    genome: Genome, input_shape: tuple[int, int, int], num_classes: int, seed: int
) -> dict:
    """Draws the initial variables of a genome's network.

    Args:
      genome: a valid genome.
      input_shape: (H, W, C) of the network's input, after downsampling.
      num_classes: number of logits.
      seed: nonnegative integer.

    Returns:
      ``{"params": ..., "batch_stats": ...}``, nested dicts of float32 NumPy arrays.
      ``batch_stats`` is empty if the genome has no batch norm.
    """
    shapes = variable_shapes(genome, input_shape, num_classes)
    drawn = jax.tree_util.tree_map_with_path(
        lambda path, leaf: _draw([entry.key for entry in path], leaf.shape, seed),
        shapes,
    )
    return {"params": drawn["params"], "batch_stats": drawn.get("batch_stats", {})}


def _draw(path: list[str], shape: tuple[int, ...], seed: int) -> np.ndarray:
    if path[-1] in ("scale", "var"):
        return np.ones(shape, np.float32)
    if path[-1] != "kernel":
        return np.zeros(shape, np.float32)
    rng = np.random.default_rng([seed, zlib.crc32("/".join(path).encode())])
    gain = 1.0 if path[-2].endswith(_LINEAR) else 2.0
    deviation = np.sqrt(gain / np.prod(shape[:-1]))
    return (rng.standard_normal(shape, np.float32) * deviation).astype(np.float32)
