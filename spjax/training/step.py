"""The jitted training step: one masked update on one batch.

Everything that differs between runs of one architecture is an argument of the
compiled program (``Settings``): learning rate, sparsity, length of the run, the
constants of the normalisation. Genomes that differ in these alone share a program,
in memory and in the persistent compilation cache. The learning rate follows a linear
warm-up and a cosine to zero (Loshchilov and Hutter 2017)::

    lr_t = peak * min(1, (t + 1) / warmup) * (1 + cos(pi * t / steps)) / 2
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from spjax import genomes, networks, pruning
from spjax.training.config import TrainConfig
from spjax.training.sparsify import sparsify


class Settings(NamedTuple):
    """What a run may change without a new program. Scalars, or [C] where said.

    Attributes:
      learning_rate: peak.
      weight_decay: decoupled weight decay.
      sparsity: final share of weights or channels removed.
      steps: length of the run.
      warmup_steps: steps to the peak of the learning rate; at least 1.
      prune_begin: step at which pruning starts.
      prune_end: step from which masks are fixed.
      prune_interval: steps between computations of the masks.
      mean: float32 [C], subtracted from the pixels.
      std: float32 [C], divides them.
    """

    learning_rate: np.ndarray
    weight_decay: np.ndarray
    sparsity: np.ndarray
    steps: np.ndarray
    warmup_steps: np.ndarray
    prune_begin: np.ndarray
    prune_end: np.ndarray
    prune_interval: np.ndarray
    mean: np.ndarray
    std: np.ndarray


class TrainState(NamedTuple):
    """What a step changes.

    Attributes:
      params: the network's parameters.
      batch_stats: running statistics of batch norm.
      opt_state: state of the pruning optimiser; holds masks and the step count.
      totals: float32 [2], sums of loss and of errors over images since the caller
        last set it to zero.
    """

    params: dict
    batch_stats: dict
    opt_state: optax.OptState
    totals: jax.Array


Step = Callable[[TrainState, Settings, jax.Array, jax.Array], TrainState]


def make_settings(
    training: genomes.Training,
    config: TrainConfig,
    steps: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Settings:
    """Collects a run's settings as NumPy scalars (nothing is compiled for them).

    Args:
      training: the genome's genes of training.
      config: the run's settings.
      steps: length of the run in steps; at least 1.
      mean: one value per channel, in 0..255 units.
      std: one value per channel, in 0..255 units.

    Returns:
      The settings.
    """
    begin = int(config.prune_begin * steps)
    end = max(begin + 1, int(config.prune_end * steps))
    prunes = training.pruning != "none"
    f32, i32 = np.float32, np.int32
    return Settings(
        learning_rate=f32(training.learning_rate),
        weight_decay=f32(config.weight_decay),
        sparsity=f32(training.sparsity if prunes else 0.0),
        steps=f32(steps),
        warmup_steps=f32(max(1.0, config.warmup * steps)),
        prune_begin=i32(begin),
        # The last mask must be computed even in a run of a single step.
        prune_end=i32(min(end, max(steps - 1, begin + 1))),
        prune_interval=i32(max(1, (end - begin) // config.prune_updates)),
        mean=np.asarray(mean, f32),
        std=np.asarray(std, f32),
    )


def learning_rate_at(count: jax.Array, settings: Settings) -> jax.Array:
    """The learning rate of a step; float32 scalar."""
    t = jnp.asarray(count, jnp.float32)
    rise = jnp.minimum(1.0, (t + 1.0) / settings.warmup_steps)
    fall = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(t / settings.steps, 1.0)))
    return settings.learning_rate * rise * fall


def _optimiser(params, settings, by_channel):
    return sparsify(
        optax.adamw(
            functools.partial(learning_rate_at, settings=settings),
            weight_decay=settings.weight_decay,
        ),
        params,
        by_channel=by_channel,
        sparsity=settings.sparsity,
        begin=settings.prune_begin,
        end=settings.prune_end,
        interval=settings.prune_interval,
    )


def by_channel(genome: genomes.Genome) -> bool:
    """Whether a genome prunes whole channels."""
    return genome.training.pruning == "channel"


def init_state(
    genome: genomes.Genome, variables: dict, settings: Settings
) -> TrainState:
    """The state before the first step, as NumPy arrays.

    AdamW starts from zeros and pruning from masks of ones, so only the shapes are
    traced: no program is compiled.

    Args:
      genome: the genome.
      variables: ``{"params": ..., "batch_stats": ...}``.
      settings: the run's settings.

    Returns:
      A ``TrainState``.
    """
    params = variables["params"]
    shapes = jax.eval_shape(
        lambda p, s: _optimiser(p, s, by_channel(genome)).init(p), params, settings
    )
    opt_state = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)
    masks = jax.tree.map(lambda s: np.ones(s.shape, s.dtype), shapes.masks)
    return TrainState(
        params=jax.tree.map(np.asarray, params),
        batch_stats=jax.tree.map(np.asarray, variables.get("batch_stats", {})),
        opt_state=opt_state._replace(masks=masks),
        totals=np.zeros(2, np.float32),
    )


def make_step(genome: genomes.Genome, num_classes: int) -> Step:
    """The jitted step of an architecture.

    Args:
      genome: the genome; its training genes count only by whether channels are pruned.
      num_classes: number of classes.

    Returns:
      ``step(state, settings, images, labels) -> state`` with uint8 images
      [B, H, W, C] (downsampled) and int32 labels [B]. The state's buffers are donated.
    """
    plain = dataclasses.replace(genome, training=genomes.Training())
    return _make_step(plain, num_classes, by_channel(genome))


@functools.lru_cache(maxsize=8)
def _make_step(genome, num_classes, channels):
    module = networks.build(genome, num_classes, lowering="training")

    def loss_of(params, batch_stats, x, labels):
        logits, changed = module.apply(
            {"params": params, "batch_stats": batch_stats},
            x,
            train=True,
            mutable=["batch_stats"],
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        errors = jnp.sum(jnp.argmax(logits, -1) != labels)
        return jnp.mean(losses), (changed.get("batch_stats", batch_stats), errors)

    def step(state, settings, images, labels):
        x = (images.astype(jnp.float32) - settings.mean) / settings.std
        grad = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (batch_stats, errors)), grads = grad(
            state.params, state.batch_stats, x, labels
        )
        optimiser = _optimiser(state.params, settings, channels)
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        sums = jnp.stack([loss * len(labels), errors.astype(jnp.float32)])
        return TrainState(params, batch_stats, opt_state, state.totals + sums)

    return jax.jit(step, donate_argnums=0)


def masks_of(state: TrainState) -> dict:
    """The masks in a state: bool NumPy arrays with the shapes of the parameters."""
    masks = pruning.masks(state.opt_state)
    return jax.tree.map(
        lambda p, m: np.broadcast_to(np.asarray(m, bool), np.shape(p)).copy(),
        state.params,
        masks,
    )
