"""The figures of a trained network, from the analyser."""

import jax
import numpy as np

from spjax import analysis, genomes, networks
from spjax.search.static_cost import figures_of


def measure(
    genome: genomes.Genome,
    variables: dict,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    bytes_per_element: int = 1,
) -> dict[str, int]:
    """Traces the inference function with its weights and applies the memory models.

    Args:
      genome: the genome.
      variables: trained ``{"params": ..., "batch_stats": ...}``; zeros count as pruned.
      input_shape: (H, W, C) of the raw image, before the genome's downsampling.
      num_classes: number of classes.
      bytes_per_element: bytes of one value on the target (1 for int8).

    Returns:
      The figures of `spjax.search.static_cost`: ``input_output``, ``input_weights``,
      ``live_bytes``, ``best_order``, ``planned_arena``, ``model_size_nonzero``
      (indices not counted), ``model_size_dense``, ``model_size_encoded``: bytes;
      ``macs``: a count.
    """
    program = program_of(genome, variables, input_shape, num_classes)
    return figures_of(program, bytes_per_element)


def program_of(
    genome: genomes.Genome,
    variables: dict,
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> analysis.Program:
    """The traced inference function; arguments as those of ``measure``."""
    shape = genomes.deployed_shape(genome, input_shape)
    return analysis.trace(
        networks.inference_function(genome, num_classes),
        variables,
        jax.ShapeDtypeStruct((1, *shape), np.float32),
    )
