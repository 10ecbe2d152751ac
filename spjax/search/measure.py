"""The figures of a trained network, from the analyser."""

import jax
import numpy as np

from spjax import analysis, genomes, networks


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
      ``input_output``, ``input_weights``, ``live_bytes``, ``model_size_nonzero``
      (indices not counted), ``model_size_dense``: bytes; ``macs``: a count.
    """
    report = report_of(
        genome,
        variables,
        input_shape,
        num_classes,
        bytes_per_element=bytes_per_element,
    )
    return {
        name: int(getattr(report, name))
        for name in (
            "input_output",
            "input_weights",
            "live_bytes",
            "model_size_nonzero",
            "model_size_dense",
            "macs",
        )
    }


def report_of(
    genome: genomes.Genome,
    variables: dict,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    bytes_per_element: int = 1,
) -> analysis.Report:
    """The analyser's whole report; arguments as those of ``measure``."""
    shape = genomes.deployed_shape(genome, input_shape)
    program = analysis.trace(
        networks.inference_function(genome, num_classes),
        variables,
        jax.ShapeDtypeStruct((1, *shape), np.float32),
    )
    return analysis.analyze(program, bytes_per_element=bytes_per_element)
