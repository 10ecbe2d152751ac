r"""Bias correction: the mean error of each output channel, taken back by its bias.

Rounding weights and activations shifts the mean of a layer's outputs. Over calibration
images and all places of a map where the integer output y of channel o is not clamped,

    e_o = mean(float output - scale * (y - zero_point)),
    bias_o += round(e_o / (S_in s_o))

layer by layer, each with the layers before it corrected, so that their errors are seen.
No byte is added: every layer has biases in flash.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction" (ICCV 2019), section 4.2, with the expectations measured on images.
"""

import dataclasses

import numpy as np

from spjax import analysis
from spjax.deploy.floating import run_float
from spjax.deploy.integer import run_operation
from spjax.deploy.quantised import Linear, QuantisedProgram

# As `spjax.deploy.quantise` bounds them, so that sums stay below 2**30.
_LARGEST_BIAS = 2**28
# Activations, all storages together, that are held as floats at once.
_ELEMENTS = 1 << 26


def correct_biases(quantised: QuantisedProgram, images: np.ndarray) -> QuantisedProgram:
    """Corrects the biases of every layer with weights.

    Args:
      quantised: a network whose program has the float weights.
      images: float32 [N, ..], calibration images as the network takes them; if its
        maps are large, only the first of them are used.

    Returns:
      The network with other biases.

    Raises:
      QuantisationError: if the float weights have no values.
    """
    program = quantised.program
    held = sum(program.tensors[name].elements for name in program.storages)
    images = np.asarray(images)[: max(1, _ELEMENTS // held)]
    parts = list(run_float(program, images))
    entry = program.inputs[0]
    values = {entry: quantised.scale(entry).to_int8(images)}
    operations = dict(quantised.operations)
    for operation in program.operations:
        made = run_operation(quantised, operation, values)
        layer = operations[operation.name]
        if isinstance(layer, Linear):
            wanted = np.concatenate([part[operation.output] for part in parts])
            layer = _corrected(quantised, operation, layer, made, wanted)
            operations[operation.name] = layer
            quantised = dataclasses.replace(quantised, operations=dict(operations))
            made = run_operation(quantised, operation, values)
        values[operation.output] = made
    return quantised


def _corrected(
    quantised: QuantisedProgram,
    operation: analysis.Operation,
    layer: Linear,
    made: np.ndarray,
    wanted: np.ndarray,
) -> Linear:
    open_ = (made > layer.minimum) & (made < layer.maximum)
    error = wanted - quantised.scale(operation.output).to_float(made)
    axes = tuple(range(made.ndim - 1))
    mean = np.where(open_, error, 0).sum(axes) / np.maximum(open_.sum(axes), 1)
    unit = np.float64(quantised.scale(operation.inputs[0]).scale) * layer.weight_scales
    bias = np.rint(mean / unit)
    if layer.bias is not None:
        bias += layer.bias
    bias = np.clip(bias, -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.int32)
    bias.setflags(write=False)
    return dataclasses.replace(layer, bias=bias)
