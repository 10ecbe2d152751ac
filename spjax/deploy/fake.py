r"""A program in JAX with fake quantisation: floats that take int8's values only.

In the forward pass weights and activations are rounded to what the integer program
can hold; in the backward pass rounding is the identity (the straight-through
estimator: Bengio, Leonard and Courville, 2013) and saturation stops the gradient. The
scale s of a weight or an activation is trained too. With the rounded q of v / s inside
the limits, autodiff of ``s q`` gives

    d (s q) / d s = q - v / s,        outside of the limits: q,

which is the gradient of LSQ (Esser et al., "Learned Step Size Quantization", ICLR
2020). Scales are trained as logarithms, so that they stay positive.

Maps are kept as [H, C, W, N] here, for `spjax.networks.TRAINING`, which is fast on a
CPU. Averages round halves to even here and the multipliers' own rounding is left out:
the integers differ by a step now and then.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from spjax import analysis
from spjax.deploy.geometry import is_maximum
from spjax.deploy.quantised import PRECISIONS, TensorScale
from spjax.deploy.scales import groups
from spjax.deploy.supported import clamp, family
from spjax.deploy.weights import weight_scales
from spjax.networks import TRAINING

_LAYOUT = ("HCWN", "HWIO", "HCWN")


def fake_variables(
    program: analysis.Program,
    scales: Mapping[str, TensorScale],
    precisions: Mapping[str, str],
) -> dict:
    """What fake quantisation trains.

    Args:
      program: traced with weights that have values.
      scales: storage name -> scale.
      precisions: operation name -> precision, for every layer with weights.

    Returns:
      float32 arrays: ``kernel`` and ``bias`` by operation, ``weight_scale`` (natural
      logarithms, [outputs]) by operation, ``scale`` (natural logarithms) by the group
      of storages with one scale, the input's left out: its steps are the pixels'.
    """
    variables: dict = {"kernel": {}, "bias": {}, "weight_scale": {}, "scale": {}}
    for operation in program.operations:
        if family(program, operation) != "linear":
            continue
        kernel, bias = operation.weight("kernel"), operation.weight("bias")
        steps = weight_scales(kernel.values, precisions[operation.name])
        steps = np.where(steps > 0, steps, steps[steps > 0].min(initial=2.0**-10))
        variables["kernel"][operation.name] = kernel.values.astype(np.float32)
        variables["weight_scale"][operation.name] = np.log(steps).astype(np.float32)
        if bias is not None:
            variables["bias"][operation.name] = bias.values.astype(np.float32)
    leader = groups(program)
    fixed = leader[program.inputs[0]]
    for group in dict.fromkeys(leader.values()):
        if group != fixed:
            variables["scale"][group] = np.log(np.float32(scales[group].scale))
    return variables


def fake_logits(
    program: analysis.Program,
    scales: Mapping[str, TensorScale],
    precisions: Mapping[str, str],
    variables: dict,
    images: jax.Array,
) -> jax.Array:
    """Runs a program with fake quantisation.

    Args:
      program: of supported operations, one input, one output.
      scales: storage name -> scale; zero points and the input's scale are used.
      precisions: operation name -> precision, for every layer with weights.
      variables: of `fake_variables`, or trained further.
      images: float32 [N, H, W, C], normalised.

    Returns:
      float32 [N, classes].
    """
    leader = groups(program)
    size = {name: jnp.exp(log) for name, log in variables["scale"].items()}

    def rounded(name: str, x: jax.Array) -> jax.Array:
        scale, group = scales[name], leader[name]
        step = size.get(group, scale.scale)
        v = jnp.clip(x / step + scale.zero_point, -128, 127)
        return (_straight(v, jnp.round(v)) - scale.zero_point) * step

    entry = program.inputs[0]
    values = {entry: rounded(entry, _enter(images))}
    for operation in program.operations:
        inputs = [_viewed(program, name, values) for name in operation.inputs]
        name, kind = operation.name, family(program, operation)
        if kind == "linear":
            kernel = fake_weights(
                variables["kernel"][name],
                jnp.exp(variables["weight_scale"][name]),
                precisions[name],
            )
            y = _linear(operation, kernel, variables["bias"].get(name), inputs[0])
        elif kind == "addition":
            y = inputs[0] + inputs[-1]
        elif kind == "pool":
            y = _pool(operation, inputs[0])
        elif operation.kind == "concatenate":
            axis = operation.attribute("axis")
            maps = inputs[0].ndim == 4
            y = jnp.concatenate(inputs, (3, 0, 2, 1)[axis] if maps else axis)
        else:
            y = inputs[0]
        values[operation.output] = rounded(
            operation.output, jnp.clip(y, *clamp(operation))
        )
    return _flat(_viewed(program, program.outputs[0], values))


def fake_weights(kernel: jax.Array, steps: jax.Array, precision: str) -> jax.Array:
    """Weights rounded to the values of a precision; zeros stay zeros.

    Args:
      kernel: float32 [.., outputs].
      steps: float32 [outputs].
      precision: key of `PRECISIONS`.

    Returns:
      float32, of the kernel's shape; the gradient is the straight-through one.
    """
    largest = PRECISIONS[precision][-1]
    v = jnp.clip(kernel / steps, -largest, largest)
    if precision == "int2":
        q = jnp.clip(2 * jnp.floor(v / 2) + 1, -largest, largest)
        q = jnp.where(kernel == 0, 0, q)
    else:
        q = jnp.round(v)
    return _straight(v, q) * steps


def _straight(v: jax.Array, q: jax.Array) -> jax.Array:
    return v + lax.stop_gradient(q - v)


def _enter(x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [H, C, W, N]; other ranks stay."""
    return x.transpose(1, 3, 2, 0) if x.ndim == 4 else x


def _leave(x: jax.Array) -> jax.Array:
    return x.transpose(3, 0, 2, 1) if x.ndim == 4 else x


def _flat(x: jax.Array) -> jax.Array:
    x = _leave(x)
    return x.reshape(len(x), -1)


def _viewed(program: analysis.Program, name: str, values: dict) -> jax.Array:
    tensor, storage = program.tensors[name], program.storage(name)
    x = values[storage]
    if tensor.shape == program.tensors[storage].shape:
        return x
    x = _leave(x)
    return _enter(x.reshape(len(x), *tensor.shape[1:]))


def _linear(
    operation: analysis.Operation,
    kernel: jax.Array,
    bias: jax.Array | None,
    x: jax.Array,
) -> jax.Array:
    if operation.kind == "dense":
        y = _flat(x) @ kernel
        return y if bias is None else y + bias
    y = _convolve(operation, kernel, x)
    return y if bias is None else y + bias[:, None, None]


def _convolve(
    operation: analysis.Operation, kernel: jax.Array, x: jax.Array
) -> jax.Array:
    (top, bottom), (left, right) = operation.attribute("padding")
    strides, count = operation.attribute("strides"), operation.attribute("groups")
    dilation = operation.attribute("dilation")
    high, wide, per_group, outputs = kernel.shape
    square = high == wide and strides[0] == strides[1] and dilation == (1, 1)
    depthwise = per_group == 1 and count == outputs
    if square and min(top, bottom, left, right) >= 0 and (depthwise or count == 1):
        x = jnp.pad(x, ((top, bottom), (0, 0), (left, right), (0, 0)))
        conv = TRAINING.depthwise if depthwise else TRAINING.conv
        return conv(x, kernel, strides[0], "VALID")
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        ((top, bottom), (left, right)),
        rhs_dilation=dilation,
        dimension_numbers=_LAYOUT,
        feature_group_count=count,
    )


def _pool(operation: analysis.Operation, x: jax.Array) -> jax.Array:
    maximum = is_maximum(operation)
    if operation.kind == "reduce":
        return (jnp.max if maximum else jnp.mean)(x, (0, 2)).T
    window, strides = operation.attribute("window"), operation.attribute("strides")
    padding = operation.attribute("padding")
    plain = window == strides and not any(n for pair in padding for n in pair)
    if plain and not maximum:
        return TRAINING.average_pool(x, window)
    if plain and window[0] == window[1]:
        return TRAINING.max_pool(x, window[0])
    size = (window[0], 1, window[1], 1)
    steps = (strides[0], 1, strides[1], 1)
    pads = (padding[0], (0, 0), padding[1], (0, 0))
    if maximum:
        return lax.reduce_window(x, -jnp.inf, lax.max, size, steps, pads)
    total = lax.reduce_window(x, 0.0, lax.add, size, steps, pads)
    ones = jnp.ones((x.shape[0], 1, x.shape[2], 1), x.dtype)
    return total / lax.reduce_window(ones, 0.0, lax.add, size, steps, pads)
