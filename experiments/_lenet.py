"""The two LeNets of the pruning papers, and what is left of them after pruning.

Their sizes are those of their parameters, so that units that pruning has emptied can be
cut out while a network is trained (``live_units``, ``cut``, ``restore``). Convolutions
take the forms of ``networks.TRAINING``, which are fast on a CPU.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from spjax import networks
from spjax.pruning import bayesian_compression, sparse_vd

Params = Mapping[str, Mapping[str, Any]]
Units = Mapping[str, tuple[np.ndarray, np.ndarray]]

# LeNet-5 as Caffe has it: 20 and 50 filters of 5x5, 500 units.
_SHAPES = {
    "lenet_300_100": {
        "dense_0": (784, 300),
        "dense_1": (300, 100),
        "dense_2": (100, 10),
    },
    "lenet_5": {
        "conv_0": (5, 5, 1, 20),
        "conv_1": (5, 5, 20, 50),
        "dense_0": (800, 500),
        "dense_1": (500, 10),
    },
}
MODELS = tuple(_SHAPES)
METHODS = ("plain", "sparse_vd", "bayesian_compression")


def initial(
    model: str, method: str, seed: int, log_sigma2: float
) -> dict[str, dict[str, np.ndarray]]:
    """Draws a network's parameters.

    Args:
      model: one of ``MODELS``.
      method: one of ``METHODS``; says which parameters a layer has.
      seed: seed of the kernels, which are He et al.'s (ICCV 2015).
      log_sigma2: log variances to start from, of weights and scales.

    Returns:
      By layer ``kernel`` and ``bias``; for the variational methods ``log_sigma2`` too;
      for Bayesian Compression also ``scale`` and ``scale_log_sigma2``. Float32.
    """
    rng, params = np.random.default_rng(seed), {}
    for name, shape in _SHAPES[model].items():
        deviation = np.sqrt(2 / np.prod(shape[:-1]))
        layer = {"kernel": rng.normal(0, deviation, shape), "bias": np.zeros(shape[-1])}
        if method != "plain":
            layer["log_sigma2"] = np.full(shape, log_sigma2)
        if method == "bayesian_compression":
            groups = shape[-1] if len(shape) > 2 else shape[0]
            layer["scale"] = np.ones(groups)
            layer["scale_log_sigma2"] = np.full(groups, log_sigma2)
        params[name] = {k: v.astype(np.float32) for k, v in layer.items()}
    return params


def apply(params: Params, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Logits of images.

    Args:
      params: as ``initial`` gives them, or with fewer units (``cut``), or plain ones
        that were pruned.
      x: float (N, 28, 28, 1); (N, inputs) for a LeNet-300-100 of fewer inputs.
      key: of the noise of variational layers; plain ones need none.

    Returns:
      (N, 10).
    """
    names = sorted(params)  # conv_0, conv_1, dense_0, ...
    keys = dict.fromkeys(names)
    if key is not None:
        keys = dict(zip(names, jax.random.split(key, len(names)), strict=True))
    ops = networks.TRAINING
    if "conv_0" in params:
        x = ops.enter(x)
        for name in ("conv_0", "conv_1"):
            x = ops.max_pool(jax.nn.relu(_conv(x, params[name], keys[name])), 2)
        x = ops.flatten(x)
    x = x.reshape(len(x), -1)
    hidden = [n for n in names if n.startswith("dense")]
    for name in hidden[:-1]:
        x = jax.nn.relu(_dense(x, params[name], keys[name]))
    return _dense(x, params[hidden[-1]], keys[hidden[-1]])


def _conv(x, p, key):
    ops = networks.TRAINING

    def conv(x, kernel):
        return ops.conv(x, kernel, 1, "VALID")

    key, z = _split(key, p)
    y = _linear(conv, x, p, key)
    if z is not None:  # (N, C) -> [H, C, W, N]
        y = y * z(x.shape[-1]).T[:, None]
    return y + ops.spread(p["bias"])


def _dense(x, p, key):
    key, z = _split(key, p)
    if z is not None:
        x = x * z(len(x))
    return _linear(jnp.matmul, x, p, key) + p["bias"]


def _split(key, p):
    if "scale" not in p:
        return key, None
    key, own = jax.random.split(key)
    groups = p["scale"], p["scale_log_sigma2"]
    return key, lambda n: bayesian_compression.scales(own, *groups, (n,))


def _linear(operation, x, p, key):
    if "log_sigma2" not in p:
        return operation(x, p["kernel"])
    return sparse_vd.linear(key, operation, x, p["kernel"], p["log_sigma2"])


def remove_dead(params: Params) -> dict[str, Any]:
    """Zeroes weights that cannot reach the output, or see no live input.

    A unit without weights going out is dead, and so are the weights that lead to it.
    One without weights coming in is constant, the ReLU of its bias: what it adds goes
    into the biases of the layer after it (no layer pads), and it is dead as well.

    Args:
      params: pruned, plain parameters of one of the two networks.

    Returns:
      The same tree with more zeros; the outputs are the same to float rounding.
    """
    names = sorted(params)
    out = {n: {k: np.array(v) for k, v in params[n].items()} for n in names}
    changed = True
    while changed:
        before = count(out)
        for first, second in zip(names[:-1], names[1:], strict=True):
            a, b = out[first], out[second]
            units = a["kernel"].shape[-1]
            # Rows of a dense layer after a flatten go by pixel, then by channel.
            rows = b["kernel"].reshape(-1, units, b["kernel"].shape[-1])
            fed = a["kernel"].reshape(-1, units).any(axis=0)
            constant = np.where(fed, 0, np.maximum(a["bias"], 0))
            b["bias"] += constant @ rows.sum(axis=0)
            dead = ~(rows.any(axis=(0, 2)) & fed)
            a["kernel"][..., dead] = 0
            a["bias"][dead] = 0
            rows[:, dead] = 0
            b["kernel"] = rows.reshape(b["kernel"].shape)
        changed = count(out) != before
    return out


def live_units(live: Params) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Inputs and outputs of each layer that pruning has left something to do.

    Args:
      live: plain parameters as ``remove_dead`` returns them.

    Returns:
      By layer, positions along the last two axes of its kernel; at least one of each.
    """
    names, units, outputs = sorted(live), {}, None
    for name in names:
        kernel = live[name]["kernel"]
        others = tuple(range(kernel.ndim - 2))
        if outputs is None:
            inputs = _positions(kernel.any(axis=(*others, kernel.ndim - 1)))
        else:
            whole = live[names[names.index(name) - 1]]["bias"].size
            pixels = np.arange(kernel.shape[-2] // whole)[:, None] * whole
            inputs = (pixels + outputs).ravel()
        outputs = _positions(kernel.any(axis=(*others, kernel.ndim - 2)))
        if name == names[-1]:
            outputs = np.arange(kernel.shape[-1])
        units[name] = inputs, outputs
    return units


def _positions(flags):
    return np.flatnonzero(flags) if flags.any() else np.array([0])


def cut(params: Params, units: Units) -> dict[str, Any]:
    """Takes only some units out of parameters, or out of trees like them."""
    return {
        name: {key: _take(leaf, layer, *units[name]) for key, leaf in layer.items()}
        for name, layer in params.items()
    }


def _take(leaf, layer, inputs, outputs):
    if np.ndim(leaf) > 1:
        return leaf[..., inputs, :][..., outputs]
    dense = layer["kernel"].ndim == 2
    is_input = dense and leaf is not layer["bias"]  # scales of a dense layer
    return leaf[inputs if is_input else outputs]


def restore(small: Params, whole: Params, units: Units) -> dict[str, Any]:
    """Undoes ``cut``: the values of ``small`` in zeros of the shapes of ``whole``."""
    out = {}
    for name, layer in small.items():
        inputs, outputs = units[name]
        kernel = np.zeros(np.shape(whole[name]["kernel"]), np.float32)
        kernel[..., inputs[:, None], outputs] = layer["kernel"]
        bias = np.zeros(np.shape(whole[name]["bias"]), np.float32)
        bias[outputs] = layer["bias"]
        out[name] = {"kernel": kernel, "bias": bias}
    return out


def count(params: Params) -> int:
    """Number of kernel weights that are not zero; biases are not counted."""
    return int(sum(np.count_nonzero(p["kernel"]) for p in params.values()))


def architecture(params: Params) -> str:
    """Live inputs of every dense layer and live channels of every convolution.

    As in the papers' tables: ``conv channels - ... - inputs of each dense layer``.
    """
    parts = []
    for name in sorted(params):
        kernel = np.asarray(params[name]["kernel"])
        axis = tuple(range(kernel.ndim - 1)) if name.startswith("conv") else (1,)
        parts.append(str(int(kernel.any(axis=axis).sum())))
    return "-".join(parts)
