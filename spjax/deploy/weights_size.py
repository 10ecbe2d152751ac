"""Model size as it will lie in flash, without quantising: for a search.

``model_size_encoded`` counts what is emitted for int8: per convolution and dense layer
the values and the index of its format, and 9 bytes an output channel (bias, multiplier,
shift). Formats are chosen for the network as a whole.

Before training only the number of nonzeros is known, not their places. The expected
size takes the smallest of four formats for n weights, k of them nonzero, in r rows::

    dense n    bitmap ceil(n / 8) + k    byte indices 2 (k + r + 1)
    4-bit gaps 1.5 k / (1 - q),  q = (1 - k / n)^15: the chance of an escape
"""

import math

import numpy as np

from spjax import analysis
from spjax.deploy.codecs import choose_together, weight_matrix
from spjax.deploy.codecs.size import CHANNEL_BYTES
from spjax.deploy.weights import to_levels, weight_scales

_KINDS = ("conv2d", "dense")


def encoded_size(program: analysis.Program) -> int:
    """Bytes of a trained network's weights, as emitted for int8.

    Args:
      program: traced with its weights' values.

    Returns:
      model_size_encoded, in bytes: indices, biases and requantisation constants
      counted. What `spjax.deploy.codecs.model_size_encoded` gives of the quantised
      program: rounding the weights takes no calibration.

    Raises:
      ValueError: if the weights' values are not known.
    """
    matrices, channels = {}, 0
    for operation in program.operations:
        if operation.kind not in _KINDS:
            continue
        kernel = operation.weight("kernel")
        if kernel is None or kernel.values is None:
            raise ValueError(f"the weights of {operation.name} are not known")
        # Of a training that diverged, the size is that of its shape.
        values = np.nan_to_num(
            np.asarray(kernel.values, np.float64), posinf=1, neginf=1
        )
        scales = weight_scales(values, "int8")
        levels = to_levels(values, np.where(scales > 0, scales, 1.0), "int8")
        matrices[operation.name] = weight_matrix(levels)
        channels += values.shape[-1]
    encoded = choose_together(matrices)
    size = sum(layer.encoded_bytes for layer in encoded.values())
    return size + CHANNEL_BYTES * channels


def expected_encoded_size(program: analysis.Program) -> int:
    """The same before training, from the numbers of nonzeros: an estimate.

    Args:
      program: with shapes and counts of its weights.

    Returns:
      Bytes.
    """
    size = 0
    for operation in program.operations:
        if operation.kind not in _KINDS:
            continue
        kernel = operation.weight("kernel")
        elements, rows = kernel.elements, kernel.shape[-1]
        kept = elements if kernel.nonzero is None else kernel.nonzero
        size += min(
            elements,
            math.ceil(elements / 8) + kept,
            2 * (kept + rows + 1),
            _gaps(elements, kept),
        )
        size += CHANNEL_BYTES * rows
    return size


def _gaps(elements: int, kept: int) -> int:
    escape = (1 - kept / elements) ** 15
    return math.ceil(1.5 * kept / (1 - escape)) if kept else 0
