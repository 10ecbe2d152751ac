r"""Post-training quantisation: a float program becomes integers.

With the scales S_in, S_out of the storages (`spjax.deploy.scales`) and s_o of the
weights (`spjax.deploy.weights`), for a convolution or dense layer with bias b,

    bias_o = round(b_o / (S_in s_o)),    multiplier_o = S_in s_o / S_out

The arithmetic in `spjax.deploy.quantised` needs every multiplier below 1 and every sum
below 2^30. Where a network does not give that by itself, s_o grows (a large bias, or
very many weights) or S_out does (a layer whose outputs are tiny).
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from spjax import analysis
from spjax.deploy.quantised import (
    Addition,
    Copy,
    Linear,
    Pool,
    QuantisationError,
    QuantisedOperation,
    QuantisedProgram,
    TensorScale,
    fixed_point,
)
from spjax.deploy.scales import activation_scales, groups, observe
from spjax.deploy.supported import clamp, family
from spjax.deploy.weights import check_precision, to_levels, weight_scales

# The sums of a layer stay below _LIMIT, its biases below _LARGEST_BIAS.
_LIMIT = 2**30
_LARGEST_BIAS = 2**28
_BELOW_ONE = 1 - 2.0**-20


def quantise(
    program: analysis.Program,
    images: np.ndarray,
    *,
    precisions: str | Mapping[str, str] = "int8",
    clipping: str = "mse",
    input_range: tuple[float, float] | None = None,
    seed: int = 0,
) -> QuantisedProgram:
    """Quantises a trained network.

    Args:
      program: traced with weights that have values; one input, one output.
      images: float32 [N, ..], calibration images as the network takes them
        (normalised), from the training split. A few hundred are enough.
      precisions: of the weights: a key of `PRECISIONS` for all layers, or operation
        name -> key; layers that are not named are ``int8``.
      clipping: ``mse`` or ``minmax``, see `spjax.deploy.scales`.
      input_range: smallest and largest value that an input can have; None for those
        observed.
      seed: of the sample of activations that ``mse`` looks at.

    Returns:
      The quantised program.

    Raises:
      QuantisationError: if an operation has no integer kernel, weights or images are
        not finite, or an argument is unknown; the message names it.
    """
    observed = observe(program, images, seed)
    scales = activation_scales(program, observed, clipping, input_range)
    return with_scales(program, scales, precisions)


def with_scales(
    program: analysis.Program,
    scales: Mapping[str, TensorScale],
    precisions: str | Mapping[str, str] = "int8",
    weight_steps: Mapping[str, np.ndarray] | None = None,
) -> QuantisedProgram:
    """Quantises a network whose activations' scales are known.

    Args:
      program: traced with weights that have values.
      scales: storage name -> scale; equal where operations copy numbers.
      precisions: as in `quantise`.
      weight_steps: operation name -> float [outputs], scales of weights that were
        trained for; those of `weight_scales` for other operations.

    Returns:
      The quantised program. Scales may be larger than given, see the module docstring.

    Raises:
      QuantisationError: as in `quantise`.
    """
    precisions = layer_precisions(program, precisions)
    leader, scales = groups(program), dict(scales)
    operations = {}
    # A scale that grows changes the layers after it, and in a group also before it.
    while len(operations) < len(program.operations):
        operations = {}
        for operation in program.operations:
            made = _operation(
                program, operation, scales, precisions, weight_steps or {}
            )
            if isinstance(made, float):
                member = leader[operation.output]
                for name in (n for n, group in leader.items() if group == member):
                    scales[name] = dataclasses.replace(scales[name], scale=made)
                break
            operations[operation.name] = made
    return QuantisedProgram(program, scales, operations)


def layer_precisions(
    program: analysis.Program, precisions: str | Mapping[str, str]
) -> dict[str, str]:
    """Operation name -> precision, for every layer with weights.

    Args:
      program: the program.
      precisions: as in `quantise`.

    Raises:
      QuantisationError: if a name is not a layer's, or a precision is unknown.
    """
    layers = [op.name for op in program.operations if family(program, op) == "linear"]
    if isinstance(precisions, str):
        check_precision(precisions, "all layers")
        return dict.fromkeys(layers, precisions)
    for name, precision in precisions.items():
        if name not in layers:
            raise QuantisationError(
                f"precisions names '{name}', which is not a layer with weights; the "
                f"layers are {', '.join(layers)}."
            )
        check_precision(precision, f"layer '{name}'")
    return dict.fromkeys(layers, "int8") | dict(precisions)


def _operation(
    program: analysis.Program,
    operation: analysis.Operation,
    scales: Mapping[str, TensorScale],
    precisions: Mapping[str, str],
    weight_steps: Mapping[str, np.ndarray],
) -> QuantisedOperation | float:
    """The integers of one operation, or the output scale that it needs."""
    inputs = [scales[program.storage(name)] for name in operation.inputs]
    output = scales[operation.output]
    bounds = _clamp(operation, output)
    kind = family(program, operation)
    if kind == "pool":
        return Pool(operation.name, *bounds)
    if kind == "copy":
        return Copy(operation.name, *bounds)
    if kind == "addition":
        return _addition(operation, (inputs[0], inputs[-1]), output, bounds)
    steps = weight_steps.get(operation.name)
    precision = precisions[operation.name]
    return _linear(operation, inputs[0], output, precision, steps, bounds)


def _clamp(operation: analysis.Operation, scale: TensorScale) -> tuple[int, int]:
    def place(bound: float) -> int:
        if np.isinf(bound):
            return -128 if bound < 0 else 127
        # TFLite rounds halves away from zero here.
        steps = np.trunc(bound / scale.scale + np.copysign(0.5, bound))
        return int(np.clip(scale.zero_point + steps, -128, 127))

    low, high = clamp(operation)
    return place(low), place(high)


def _addition(
    operation: analysis.Operation,
    inputs: tuple[TensorScale, TensorScale],
    output: TensorScale,
    bounds: tuple[int, int],
) -> Addition | float:
    twice = 2 * max(scale.scale for scale in inputs)
    multiplier = twice / (2**20 * output.scale)
    if multiplier > _BELOW_ONE:
        return _grown(twice / 2**20)
    a, b = (fixed_point(scale.scale / twice) for scale in inputs)
    return Addition(
        operation.name,
        tuple(scale.zero_point for scale in inputs),
        (a[0], b[0]),
        (a[1], b[1]),
        *fixed_point(multiplier),
        output.zero_point,
        *bounds,
    )


def _linear(
    operation: analysis.Operation,
    source: TensorScale,
    output: TensorScale,
    precision: str,
    steps: np.ndarray | None,
    bounds: tuple[int, int],
) -> Linear | float:
    kernel = _finite(operation, "kernel")
    bias = _finite(operation, "bias") if operation.weight("bias") else None
    steps = weight_scales(kernel, precision) if steps is None else steps
    steps = _representable(steps, bias, source.scale)
    if source == output:
        # A concatenation joins both, so that a larger output scale would not help:
        # the multiplier is the step itself. Weights beyond its reach are clipped.
        steps = np.minimum(steps, np.float32(_BELOW_ONE - 2.0**-20))
    for _ in range(8):
        weights = to_levels(kernel, steps, precision)
        reach = 255 * np.abs(weights.astype(np.int64)).reshape(-1, len(steps)).sum(0)
        wide = reach + _LARGEST_BIAS >= _LIMIT
        if not wide.any():
            break
        grown = steps * (1.02 * (reach + _LARGEST_BIAS) / (_LIMIT - _LARGEST_BIAS))
        steps = np.where(wide, grown, steps).astype(np.float32)
    else:
        raise QuantisationError(
            f"layer '{operation.name}' sums up too many weights for 32 bits at the "
            f"precision {precision}; make it smaller."
        )
    products = np.float64(source.scale) * steps.astype(np.float64)
    multipliers = products / output.scale
    if multipliers.max() > _BELOW_ONE:
        return _grown(products.max())
    fixed = [fixed_point(m) for m in multipliers]
    return Linear(
        name=operation.name,
        weights=_read_only(weights),
        precision=precision,
        weight_scales=_read_only(steps),
        bias=None
        if bias is None
        else _read_only(np.rint(bias / products).astype(np.int32)),
        multipliers=_read_only(np.array([m for m, _ in fixed], np.int32)),
        shifts=_read_only(np.array([s for _, s in fixed], np.int8)),
        input_zero_point=source.zero_point,
        output_zero_point=output.zero_point,
        minimum=bounds[0],
        maximum=bounds[1],
    )


def _representable(
    steps: np.ndarray, bias: np.ndarray | None, scale: float
) -> np.ndarray:
    """float32 scales above 0 with which the biases fit."""
    steps = np.asarray(steps, np.float64)
    if bias is not None:
        least = np.abs(np.asarray(bias, np.float64)) / (scale * _LARGEST_BIAS)
        steps = np.maximum(steps, 1.001 * least)
    small = steps[steps > 0].min(initial=2.0**-10)
    return np.where(steps > 0, steps, small).astype(np.float32)


def _grown(scale: float) -> float:
    return float(np.float32(scale * (1 + 2.0**-18)))


def _finite(operation: analysis.Operation, role: str) -> np.ndarray:
    values = np.asarray(operation.weight(role).values)
    if not np.isfinite(values).all():
        raise QuantisationError(
            f"weight '{operation.name}/{role}' holds NaN or infinity; the network's "
            "weights are unusable."
        )
    return values


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
