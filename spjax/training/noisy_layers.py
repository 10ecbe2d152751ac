"""Networks whose layers draw their weights: parameters, noise and what to remove.

``variational``: every kernel is Gaussian (Sparse Variational Dropout). ``bayesian``:
so is a scale on each output channel of a convolution and on each input feature of a
dense layer (Bayesian Compression). Parameters have the names of
``spjax.pruning.layers``, next to a layer's ``kernel``: ``log_sigma2``, and ``scale``
and ``scale_log_sigma2``. Batch norm and biases are as they were.
"""

import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from spjax.pruning import bayesian_compression, sparse_vd

INITIAL_LOG_SIGMA2 = -8.0


def noisy_params(params: dict, kind: str) -> dict:
    """Adds what a kind of noise needs to a network's parameters.

    Args:
      params: plain parameters, as ``networks`` names them; their kernels become means.
      kind: ``variational`` or ``bayesian``.

    Returns:
      A new tree of float32 NumPy arrays.
    """
    out = {n: noisy_params(v, kind) for n, v in params.items() if isinstance(v, dict)}
    out |= {n: np.asarray(v) for n, v in params.items() if not isinstance(v, dict)}
    if "kernel" not in params:
        return out
    shape = np.shape(params["kernel"])
    out["log_sigma2"] = np.full(shape, INITIAL_LOG_SIGMA2, np.float32)
    if kind == "bayesian":
        groups = shape[0] if len(shape) == 2 else shape[-1]
        out["scale"] = np.ones(groups, np.float32)
        out["scale_log_sigma2"] = np.full(groups, INITIAL_LOG_SIGMA2, np.float32)
    return out


def mean_params(params: dict) -> dict:
    """The plain parameters of the means: of the kernels, times those of the scales.

    Args:
      params: as ``noisy_params`` gives them; plain ones come back as they are.
    """
    out = {n: mean_params(v) if isinstance(v, dict) else v for n, v in params.items()}
    if "log_sigma2" not in params:
        return out
    if "scale" in params:
        out["kernel"] = out["kernel"] * _along(params["kernel"], params["scale"])
    for name in ("log_sigma2", "scale", "scale_log_sigma2"):
        out.pop(name, None)
    return out


def noisy_layers(params: dict, path: str = "") -> Iterator[tuple[str, dict]]:
    """The layers that have noise: their path, parts joined by ``/``, and parameters."""
    if "log_sigma2" in params:
        yield path, params
    for name, value in params.items():
        if isinstance(value, dict):
            yield from noisy_layers(value, f"{path}/{name}".lstrip("/"))


def log_alphas(layer: dict) -> jax.Array:
    """Log alpha of a layer's weights, the kernel's shape, or of its groups."""
    if "scale" in layer:
        return sparse_vd.log_alpha(layer["scale"], layer["scale_log_sigma2"])
    return sparse_vd.log_alpha(layer["kernel"], layer["log_sigma2"])


def removed_share(params: dict) -> jax.Array:
    """Share of all kernels' weights that the papers' rule would remove.

    Those whose log alpha, or their group's, has reached 3.
    """
    removed, total = jnp.zeros(()), 0
    for _, layer in noisy_layers(params):
        size = math.prod(layer["kernel"].shape)
        gone = log_alphas(layer) >= sparse_vd.THRESHOLD
        removed += size * jnp.mean(gone, dtype=jnp.float32)
        total += size
    return removed / total


def expand(layer: dict, values: np.ndarray) -> np.ndarray:
    """Values of a layer's weights or groups, for each weight of its kernel."""
    if "scale" not in layer:
        return values
    shape = np.shape(layer["kernel"])
    return np.broadcast_to(_along(layer["kernel"], values), shape)


def _along(kernel, values):
    """Values of groups, so shaped that they broadcast over the kernel."""
    return values[:, None] if np.ndim(kernel) == 2 else values


def _variational(module, operation, x, kernel, axes):
    del axes
    log_sigma2 = module.get_variable("params", "log_sigma2")
    return sparse_vd.linear(module.make_rng("noise"), operation, x, kernel, log_sigma2)


def _bayesian(module, operation, x, kernel, axes):
    scale = module.get_variable("params", "scale")
    scale_log_sigma2 = module.get_variable("params", "scale_log_sigma2")
    key = module.make_rng("noise")
    count = x.shape[axes[0]]
    z = bayesian_compression.scales(key, scale, scale_log_sigma2, (count,))
    if kernel.ndim == 2:
        return _variational(module, operation, x * z, kernel, axes)
    y = _variational(module, operation, x, kernel, axes)
    # z is [N, C]: its axes go where y has them.
    z = z if axes[0] < axes[3] else z.T
    others = sorted(set(range(y.ndim)) - {axes[0], axes[3]})
    return y * jnp.expand_dims(z, others)


PRODUCTS: dict[str, Callable[[nn.Module, Callable, jax.Array, ...], jax.Array]] = {
    "variational": _variational,
    "bayesian": _bayesian,
}
