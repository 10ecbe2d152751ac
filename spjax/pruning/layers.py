"""Flax linen layers on the variational functions, and what to do with their trees.

``SparseVDDense`` and ``SparseVDConv`` stand for ``nn.Dense`` and ``nn.Conv`` in a model
to be pruned by weight, ``CompressedDense`` and ``CompressedConv`` in one to be pruned
by group. Noise comes from the rng collection ``"noise"``; with ``deterministic=True``
a layer computes with its pruned weights and needs no key. ``kl`` sums the divergence
over a parameter tree; ``prune`` turns it into the tree of the same model built from
``nn.Dense`` and ``nn.Conv``, with exact zeros.

Flax is imported here only: the rest of the room does without it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from spjax.pruning import bayesian_compression, gaussian, sparse_vd

PyTree = Any
Initialiser = Callable[..., jax.Array]

_constant = nn.initializers.constant


class SparseVDDense(nn.Module):
    """Dense layer with Sparse Variational Dropout; parameters kernel, log_sigma2, bias.

    Attributes:
      features: output features.
      use_bias: whether a bias is added.
      threshold: log alpha from which a weight counts as zero in the pruned layer.
      kernel_init: initialiser of the means.
      log_sigma2_init: initialiser of the log variances.
    """

    features: int
    use_bias: bool = True
    threshold: float = sparse_vd.THRESHOLD
    kernel_init: Initialiser = nn.initializers.lecun_normal()
    log_sigma2_init: Initialiser = _constant(sparse_vd.INITIAL_LOG_SIGMA2)

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool = False) -> jax.Array:
        """Maps (..., in) to (..., features)."""
        shape = (x.shape[-1], self.features)
        theta, log_sigma2, bias = _gaussian_parameters(self, shape)
        if deterministic:
            kept = sparse_vd.mask(theta, log_sigma2, threshold=self.threshold)
            return _add(x @ jnp.where(kept, theta, 0), bias)
        return sparse_vd.dense(self.make_rng("noise"), x, theta, log_sigma2, bias)


class SparseVDConv(nn.Module):
    """Convolution with Sparse Variational Dropout; parameters kernel, log_sigma2, bias.

    Attributes:
      features: output channels.
      kernel_size: window in pixels, one number per spatial axis.
      strides: step of the window, one number or one per axis.
      padding: ``"SAME"``, ``"VALID"`` or pairs of pixels per axis.
      kernel_dilation: spacing of the window's taps, one number or one per axis.
      feature_group_count: number of groups that channels are split into.
      use_bias: whether a bias is added.
      threshold: log alpha from which a weight counts as zero in the pruned layer.
      kernel_init: initialiser of the means.
      log_sigma2_init: initialiser of the log variances.
    """

    features: int
    kernel_size: Sequence[int]
    strides: int | Sequence[int] = 1
    padding: gaussian.Padding = "SAME"
    kernel_dilation: int | Sequence[int] = 1
    feature_group_count: int = 1
    use_bias: bool = True
    threshold: float = sparse_vd.THRESHOLD
    kernel_init: Initialiser = nn.initializers.lecun_normal()
    log_sigma2_init: Initialiser = _constant(sparse_vd.INITIAL_LOG_SIGMA2)

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool = False) -> jax.Array:
        """Maps (N, *spatial, in) to (N, *spatial, features)."""
        theta, log_sigma2, bias = _gaussian_parameters(self, _kernel_shape(self, x))
        how = _geometry(self)
        if deterministic:
            kept = sparse_vd.mask(theta, log_sigma2, threshold=self.threshold)
            return _add(gaussian.conv(x, jnp.where(kept, theta, 0), **how), bias)
        key = self.make_rng("noise")
        return sparse_vd.conv(key, x, theta, log_sigma2, bias, **how)


class CompressedDense(nn.Module):
    """Dense layer with Bayesian Compression of its input features.

    Parameters kernel, log_sigma2, scale, scale_log_sigma2 and bias.

    Attributes:
      features: output features.
      use_bias: whether a bias is added.
      threshold: log alpha_z from which a feature is removed in the pruned layer.
      kernel_init: initialiser of the means.
      log_sigma2_init: initialiser of the log variances, of weights and scales.
    """

    features: int
    use_bias: bool = True
    threshold: float = bayesian_compression.THRESHOLD
    kernel_init: Initialiser = nn.initializers.he_normal()
    log_sigma2_init: Initialiser = _constant(-9.0)

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool = False) -> jax.Array:
        """Maps (..., in) to (..., features)."""
        groups = x.shape[-1]
        theta, log_sigma2, bias = _gaussian_parameters(self, (groups, self.features))
        scale, scale_log_sigma2 = _scale_parameters(self, groups)
        if deterministic:
            kernel = bayesian_compression.prune_dense(
                theta, scale, scale_log_sigma2, threshold=self.threshold
            )
            return _add(x @ kernel, bias)
        key = self.make_rng("noise")
        return bayesian_compression.dense(
            key, x, theta, log_sigma2, scale, scale_log_sigma2, bias
        )


class CompressedConv(nn.Module):
    """Convolution with Bayesian Compression of its output channels.

    Parameters kernel, log_sigma2, scale, scale_log_sigma2 and bias. The attributes are
    those of ``SparseVDConv``; ``threshold`` is on log alpha_z.
    """

    features: int
    kernel_size: Sequence[int]
    strides: int | Sequence[int] = 1
    padding: gaussian.Padding = "SAME"
    kernel_dilation: int | Sequence[int] = 1
    feature_group_count: int = 1
    use_bias: bool = True
    threshold: float = bayesian_compression.THRESHOLD
    kernel_init: Initialiser = nn.initializers.he_normal()
    log_sigma2_init: Initialiser = _constant(-9.0)

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool = False) -> jax.Array:
        """Maps (N, *spatial, in) to (N, *spatial, features)."""
        theta, log_sigma2, bias = _gaussian_parameters(self, _kernel_shape(self, x))
        scale, scale_log_sigma2 = _scale_parameters(self, self.features)
        how = _geometry(self)
        if deterministic:
            kernel = bayesian_compression.prune_conv(
                theta, scale, scale_log_sigma2, threshold=self.threshold
            )
            return _add(gaussian.conv(x, kernel, **how), bias)
        key = self.make_rng("noise")
        return bayesian_compression.conv(
            key, x, theta, log_sigma2, scale, scale_log_sigma2, bias, **how
        )


def kl(params: PyTree) -> jax.Array:
    """Divergence of all variational layers of a parameter tree, in nats.

    Args:
      params: the ``"params"`` collection of a model.

    Returns:
      Scalar; zero if the tree has no variational layer.
    """
    if not isinstance(params, Mapping):
        return jnp.zeros(())
    if not _is_variational(params):
        return sum((kl(child) for child in params.values()), jnp.zeros(()))
    if "scale" in params:
        names = ("kernel", "log_sigma2", "scale", "scale_log_sigma2")
        return bayesian_compression.kl(*(params[name] for name in names))
    ratio = sparse_vd.log_alpha(params["kernel"], params["log_sigma2"])
    return jnp.sum(sparse_vd.kl_divergence(ratio))


def prune(params: PyTree, *, threshold: float = sparse_vd.THRESHOLD) -> PyTree:
    """Weights of inference, as a tree for the plain layers.

    Args:
      params: the ``"params"`` collection of a model with variational layers.
      threshold: log alpha (of a weight or a group) from which it is removed.

    Returns:
      The ``"params"`` collection of the same model with ``nn.Dense`` and ``nn.Conv`` in
      place of the variational layers: kernels with exact zeros, and biases.
    """
    if not isinstance(params, Mapping):
        return params
    if not _is_variational(params):
        return {
            name: prune(child, threshold=threshold) for name, child in params.items()
        }
    theta = params["kernel"]
    if "scale" not in params:
        kept = sparse_vd.mask(theta, params["log_sigma2"], threshold=threshold)
        out = {"kernel": jnp.where(kept, theta, 0)}
    else:
        cut = bayesian_compression.prune_dense
        if theta.ndim > 2:
            cut = bayesian_compression.prune_conv
        scales = params["scale"], params["scale_log_sigma2"]
        out = {"kernel": cut(theta, *scales, threshold=threshold)}
    return {**out, **({"bias": params["bias"]} if "bias" in params else {})}


def _is_variational(params: Mapping) -> bool:
    return "kernel" in params and "log_sigma2" in params


def _gaussian_parameters(
    module: nn.Module, shape: tuple[int, ...]
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    theta = module.param("kernel", module.kernel_init, shape)
    log_sigma2 = module.param("log_sigma2", module.log_sigma2_init, shape)
    if not module.use_bias:
        return theta, log_sigma2, None
    return theta, log_sigma2, module.param("bias", nn.initializers.zeros, shape[-1:])


def _scale_parameters(module: nn.Module, groups: int) -> tuple[jax.Array, jax.Array]:
    scale = module.param("scale", nn.initializers.ones, (groups,))
    return scale, module.param("scale_log_sigma2", module.log_sigma2_init, (groups,))


def _kernel_shape(module: nn.Module, x: jax.Array) -> tuple[int, ...]:
    inputs = x.shape[-1] // module.feature_group_count
    return (*module.kernel_size, inputs, module.features)


def _geometry(module: nn.Module) -> dict[str, Any]:
    return dict(
        strides=module.strides,
        padding=module.padding,
        dilation=module.kernel_dilation,
        groups=module.feature_group_count,
    )


def _add(x: jax.Array, bias: jax.Array | None) -> jax.Array:
    return x if bias is None else x + bias
