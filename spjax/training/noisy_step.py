"""The jitted step of a training with noisy weights.

The loss is ``mean NLL + exp(pressure) / N * KL`` over N training images. In the papers
the weight of the divergence is 1, after a warm-up, and the sparsity is what comes out;
here a share to be removed is asked for. The weight is the multiplier of the constraint
that this share of the weights has log alpha >= 3, and follows it by gradient ascent
(as Gallego-Posada et al., NeurIPS 2022, do for L0 regularisation)::

    pressure += gain * (target_t - share_t),    exp(pressure) in [1e-3, 1]

with a target that rises linearly to the share asked for over the ramp: the warm-up of
the divergence. Logarithms of variances learn 10 times as fast as weights: they have
several nats to go in runs of a few hundred steps, and Adam makes steps of about the
learning rate.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from spjax import genomes, networks
from spjax.pruning import layers
from spjax.training.compiling import quick_jit
from spjax.training.config import TrainConfig
from spjax.training.losses import loss_and_errors
from spjax.training.noisy_layers import (
    PRODUCTS,
    mean_params,
    noisy_params,
    removed_share,
)
from spjax.training.packed import Packed, layout_of, pack
from spjax.training.step import (
    Settings,
    TrainState,
    init_optimiser,
    optimiser_of,
)

LEAST_PRESSURE, MOST_PRESSURE = math.log(1e-3), 0.0
_GAIN = 30.0
_NOISE_RATE = 10.0
_RAMP = 2 / 3


class NoisySettings(NamedTuple):
    """What a noisy run may change without a new program. Scalars but for ``plain``.

    Attributes:
      plain: the settings of the plain step; weight decay is not applied here.
      seed: uint32, of the noise.
      images: number N of training images.
      sparsity: share of weights to be removed.
      ramp: steps over which the target rises to it.
    """

    plain: Settings
    seed: np.ndarray
    images: np.ndarray
    sparsity: np.ndarray
    ramp: np.ndarray


class NoisyState(NamedTuple):
    """What a noisy step changes.

    Attributes:
      params: parameters with those of the noise.
      batch_stats: running statistics of batch norm.
      opt_state: state of the optimiser; holds the step count.
      totals: float32 [2], sums of NLL and of errors over images since the caller last
        set it to zero.
      pressure: logarithm of the divergence's weight.
    """

    params: dict
    batch_stats: dict
    opt_state: optax.OptState
    totals: jax.Array
    pressure: jax.Array


def make_noisy_settings(
    plain: Settings,
    config: TrainConfig,
    training: genomes.Training,
    images: int,
    steps: int,
) -> NoisySettings:
    """Collects a noisy run's settings as NumPy scalars.

    Args:
      plain: the settings of the plain step.
      config: the run's settings.
      training: the genome's genes of training.
      images: number of training images.
      steps: length of the noisy part of the run, in steps.

    Returns:
      The settings; the ramp is the first two thirds of the noisy part.
    """
    return NoisySettings(
        plain=plain,
        seed=np.uint32(config.seed % 2**32),
        images=np.float32(images),
        sparsity=np.float32(training.sparsity),
        ramp=np.float32(max(1.0, _RAMP * steps)),
    )


def init_noisy_state(variables: dict, kind: str, settings: Settings) -> NoisyState:
    """The state before the first step, as NumPy arrays.

    Args:
      variables: ``{"params": ..., "batch_stats": ...}``, plain.
      kind: ``variational`` or ``bayesian``.
      settings: the run's settings.

    Returns:
      The state.
    """
    noisy = noisy_params(variables["params"], kind)
    size = layout_of(noisy).length
    opt_state = init_optimiser(size, settings)._replace(masks=np.ones(size, bool))
    return NoisyState(
        params=noisy,
        batch_stats=jax.tree.map(np.asarray, variables.get("batch_stats", {})),
        opt_state=opt_state,
        totals=np.zeros(2, np.float32),
        pressure=np.float32(LEAST_PRESSURE),
    )


def settle(state: NoisyState) -> TrainState:
    """Ends the noise: a plain state that goes on from the means.

    Args:
      state: of a noisy run.

    Returns:
      The state of the same network without noise, its step count and the moments of
      its own parameters included; NumPy arrays.
    """
    means = mean_params(state.params)
    names = {path for path, _ in jax.tree_util.tree_leaves_with_path(means)}
    own = jax.tree_util.tree_map_with_path(
        lambda path, x: np.full(np.shape(x), path in names), state.params
    )
    own = pack(own, fill=False).vector
    params = pack(means)
    rest = params.layout.length - params.layout.count

    def take(leaf: jax.Array) -> np.ndarray:
        leaf = np.asarray(leaf)
        if leaf.shape != own.shape:
            return leaf
        return np.concatenate([leaf[own], np.zeros(rest, leaf.dtype)])

    return TrainState(
        params=params,
        batch_stats=pack(state.batch_stats),
        opt_state=jax.tree.map(take, state.opt_state),
        totals=np.asarray(state.totals),
    )


def make_noisy_step(
    genome: genomes.Genome, num_classes: int
) -> Callable[[NoisyState, NoisySettings, jax.Array, jax.Array], NoisyState]:
    """The jitted step of an architecture.

    Args:
      genome: the genome; of its training genes only the kind of pruning matters.
      num_classes: number of classes.

    Returns:
      ``step(state, settings, images, labels) -> state``, as ``make_step``'s.
    """
    kind = genome.training.pruning
    plain = dataclasses.replace(genome, training=genomes.Training())
    return _make_noisy_step(plain, num_classes, kind)


@functools.lru_cache(maxsize=8)
def _make_noisy_step(genome, num_classes, kind):
    module = networks.build(
        genome, num_classes, lowering="training", product=PRODUCTS[kind]
    )

    def loss_of(params, batch_stats, x, labels, key, weight):
        logits, changed = module.apply(
            {"params": params, "batch_stats": batch_stats},
            x,
            train=True,
            mutable=["batch_stats"],
            rngs={"noise": key},
        )
        nll, errors = loss_and_errors(logits, labels)
        batch_stats = changed.get("batch_stats", batch_stats)
        return nll + weight * layers.kl(params), (nll, batch_stats, errors)

    def step(state, settings, images, labels):
        plain, count = settings.plain, state.opt_state.count
        x = (images.astype(jnp.float32) - plain.mean) / plain.std
        key = jax.random.fold_in(jax.random.key(settings.seed), count)
        weight = jnp.exp(state.pressure) / settings.images
        grad = jax.value_and_grad(loss_of, has_aux=True)
        (_, (nll, batch_stats, errors)), grads = grad(
            state.params, state.batch_stats, x, labels, key, weight
        )
        flat = pack(state.params)
        optimiser = optimiser_of(len(flat.vector), plain._replace(weight_decay=0.0))
        updates, opt_state = optimiser.update(
            pack(grads).vector, state.opt_state, flat.vector
        )
        rates = jax.tree_util.tree_map_with_path(_rate, state.params)
        new = flat.vector + pack(rates).vector * updates
        params = Packed(new, flat.layout).tree()
        target = settings.sparsity * jnp.minimum(1.0, count / settings.ramp)
        error = target - removed_share(state.params)
        pressure = state.pressure + _GAIN / settings.ramp * error
        sums = jnp.stack([nll * len(labels), errors])
        return NoisyState(
            params,
            batch_stats,
            opt_state,
            state.totals + sums,
            jnp.clip(pressure, LEAST_PRESSURE, MOST_PRESSURE),
        )

    return quick_jit(step, donate_argnums=0)


def _rate(path, leaf):
    """How much faster than a weight each value of a parameter learns."""
    return jnp.full_like(
        leaf, _NOISE_RATE if path[-1].key.endswith("log_sigma2") else 1.0
    )
