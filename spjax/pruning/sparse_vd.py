"""Sparse Variational Dropout (Molchanov, Ashukha & Vetrov 2017).

Every weight has a Gaussian posterior q(w) = N(theta, sigma^2) and the log-uniform
prior p(|w|) ~ 1/|w|. With log alpha = log sigma^2 - log theta^2 the divergence depends
on alpha alone (their equation 14)::

    -KL = k1 * sigmoid(k2 + k3 * log alpha) - 0.5 * log(1 + 1/alpha) - k1

which is zero for alpha without bound: the prior drives useless weights to pure noise,
and weights with log alpha >= 3 are removed. The loss of a data set of N examples is
``mean NLL + weight / N * KL`` with the weight ramped from 0 to 1.

``dense`` and ``conv`` work on arrays, ``linear`` on any operation that is linear in its
input and in its weights, in whatever layout. For a model of any library the functions
on a ``Posterior`` treat its whole parameter tree: ``posterior`` starts one, ``sample``
draws weights, ``kl`` is the divergence, ``masks`` and ``prune`` give the sparse one.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from spjax.pruning import gaussian
from spjax.pruning.leaves import Where, default_where, leaf_paths, select

PyTree = Any

INITIAL_LOG_SIGMA2 = -10.0
THRESHOLD = 3.0
_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695  # their equation 14
_TINY = 1e-16  # added to theta^2; keeps log alpha finite


def log_alpha(theta: jax.Array, log_sigma2: jax.Array) -> jax.Array:
    """Logarithm of the noise-to-signal ratio sigma^2 / theta^2.

    Args:
      theta: means, any shape.
      log_sigma2: log variances, same shape.

    Returns:
      Same shape.
    """
    return log_sigma2 - jnp.log(jnp.square(theta) + _TINY)


def kl_divergence(log_alpha: jax.Array) -> jax.Array:
    """KL(q(w) || log-uniform) of each weight, up to the prior's constant.

    The constant is such that the divergence goes to zero for large alpha.

    Args:
      log_alpha: any shape.

    Returns:
      Same shape, not negative.
    """
    gain = _K1 * jax.nn.sigmoid(_K2 + _K3 * log_alpha)
    return _K1 - gain + 0.5 * jax.nn.softplus(-log_alpha)


def mask(
    theta: jax.Array, log_sigma2: jax.Array, *, threshold: float = THRESHOLD
) -> jax.Array:
    """Which weights are kept: those with log alpha below the threshold.

    Args:
      theta: means, any shape.
      log_sigma2: log variances, same shape.
      threshold: 3 in the paper, a noise variance 20 times the squared mean.

    Returns:
      Bool array of the same shape.
    """
    return log_alpha(theta, log_sigma2) < threshold


def dense(
    key: jax.Array,
    x: jax.Array,
    theta: jax.Array,
    log_sigma2: jax.Array,
    bias: jax.Array | None = None,
) -> jax.Array:
    """A sample of ``x @ w + bias``, noise drawn per example and output.

    Args:
      key: PRNG key.
      x: inputs, float (..., in).
      theta: means of the weights, (in, out).
      log_sigma2: log variances of the weights, (in, out).
      bias: (out,) or None.

    Returns:
      (..., out).
    """
    out = gaussian.sample(key, *gaussian.dense_moments(x, theta, log_sigma2))
    return out if bias is None else out + bias


def conv(
    key: jax.Array,
    x: jax.Array,
    theta: jax.Array,
    log_sigma2: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: gaussian.Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """A sample of a convolution, noise drawn per example and output.

    Args:
      key: PRNG key.
      x: inputs, float (N, *spatial, in).
      theta: means of the weights, (*window, in / groups, out).
      log_sigma2: log variances of the weights, same shape.
      bias: (out,) or None.
      strides: step of the window, in pixels, one number or one per axis.
      padding: ``"SAME"``, ``"VALID"`` or pairs of pixels per axis.
      dilation: spacing of the window's taps, in pixels, one number or one per axis.
      groups: number of groups that channels are split into.

    Returns:
      (N, *spatial, out).
    """
    how = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    moments = gaussian.conv_moments(x, theta, log_sigma2, **how)
    out = gaussian.sample(key, *moments)
    return out if bias is None else out + bias


def linear(
    key: jax.Array,
    operation: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    theta: jax.Array,
    log_sigma2: jax.Array,
) -> jax.Array:
    """A sample of ``operation(x, w)``, noise drawn for each of its outputs.

    Args:
      key: PRNG key.
      operation: linear in ``x`` and in ``w``, every output a sum of products of one
        entry of each, no pair of entries twice: a matrix product, a convolution.
      x: inputs, any shape that the operation takes.
      theta: means of the weights, any shape that the operation takes.
      log_sigma2: log variances of the weights, same shape.

    Returns:
      What ``operation`` returns.
    """
    variance = operation(jnp.square(x), jnp.exp(log_sigma2))
    return gaussian.sample(key, operation(x, theta), variance)


class Posterior(NamedTuple):
    """Gaussian posterior of a parameter tree; a pytree that any optimiser can train.

    Attributes:
      theta: the parameters: means of the variational leaves, the others as they are.
      log_sigma2: log variances of the variational leaves, by path.
    """

    theta: PyTree
    log_sigma2: dict[str, jax.Array]


def posterior(
    params: PyTree,
    *,
    where: Where = default_where,
    log_sigma2: float = INITIAL_LOG_SIGMA2,
) -> Posterior:
    """A posterior around given parameters.

    Args:
      params: tree of arrays of any library.
      where: ``where(path, leaf)`` tells which leaves are variational.
      log_sigma2: initial log variance of every weight.

    Returns:
      The posterior.

    Raises:
      PruningError: if ``where`` selects nothing.
    """
    paths, leaves = leaf_paths(params), jax.tree.leaves(params)
    chosen = select(params, where)
    return Posterior(
        params, {paths[i]: jnp.full_like(leaves[i], log_sigma2) for i in chosen}
    )


def sample(key: jax.Array, posterior: Posterior) -> PyTree:
    """Draws one set of weights, shared by all examples.

    Works for every model; where layers can be changed, ``dense`` and ``conv`` give
    gradients of lower variance.

    Args:
      key: PRNG key.
      posterior: the posterior.

    Returns:
      Tree like the parameters.
    """
    keys = dict(
        zip(
            posterior.log_sigma2,
            jax.random.split(key, len(posterior.log_sigma2)),
            strict=True,
        )
    )

    def draw(path: str, theta: jax.Array, log_sigma2: jax.Array) -> jax.Array:
        noise = jax.random.normal(keys[path], theta.shape, theta.dtype)
        return theta + jnp.exp(0.5 * log_sigma2) * noise

    return _map_variational(draw, posterior, lambda leaf: leaf)


def kl(posterior: Posterior) -> jax.Array:
    """Divergence of a posterior from the log-uniform prior, in nats.

    Args:
      posterior: the posterior.

    Returns:
      Scalar, summed over all variational weights.
    """
    theta = dict(
        zip(leaf_paths(posterior.theta), jax.tree.leaves(posterior.theta), strict=True)
    )
    return sum(
        jnp.sum(kl_divergence(log_alpha(theta[path], log_sigma2)))
        for path, log_sigma2 in posterior.log_sigma2.items()
    )


def masks(posterior: Posterior, *, threshold: float = THRESHOLD) -> PyTree:
    """Masks of the weights that are kept.

    Args:
      posterior: the posterior.
      threshold: log alpha from which a weight is removed.

    Returns:
      Tree of bool masks, the scalar True for leaves that are not variational.
    """

    def keep(path: str, theta: jax.Array, log_sigma2: jax.Array) -> jax.Array:
        return mask(theta, log_sigma2, threshold=threshold)

    return _map_variational(keep, posterior, lambda leaf: jnp.ones((), bool))


def prune(posterior: Posterior, *, threshold: float = THRESHOLD) -> PyTree:
    """Weights for inference: the means, with noisy weights set to zero.

    Args:
      posterior: the posterior.
      threshold: log alpha from which a weight is removed.

    Returns:
      Tree like the parameters.
    """

    def cut(path: str, theta: jax.Array, log_sigma2: jax.Array) -> jax.Array:
        return jnp.where(mask(theta, log_sigma2, threshold=threshold), theta, 0)

    return _map_variational(cut, posterior, lambda leaf: leaf)


def _map_variational(function: Any, posterior: Posterior, other: Any) -> PyTree:
    """Maps leaves: ``function(path, theta, log_sigma2)``, or ``other(leaf)``."""
    leaves, treedef = jax.tree.flatten(posterior.theta)
    return jax.tree.unflatten(
        treedef,
        [
            function(path, leaf, posterior.log_sigma2[path])
            if path in posterior.log_sigma2
            else other(leaf)
            for path, leaf in zip(leaf_paths(posterior.theta), leaves, strict=True)
        ],
    )
