"""The jitted training step: one masked update on one batch.

Everything that differs between runs of one architecture is an argument of the
compiled program (``Settings``): learning rate, length of the run, the constants of the
normalisation. Genomes that differ in these alone share a program,
in memory and in the persistent compilation cache. The learning rate follows a linear
warm-up and a cosine to zero (Loshchilov and Hutter 2017)::

    lr_t = peak * min(1, (t + 1) / warmup) * (1 + cos(pi * t / steps)) / 2

The optimiser sees all parameters as one vector, and the masks are one vector beside
it: on a CPU, a program with one update compiles in half the time of one with an update
per tensor. The masks are computed outside of the step, on the host (``with_masks``).
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
from spjax.training.sparsify import dense_masks


class Settings(NamedTuple):
    """What a run may change without a new program. Scalars, or [C] where said.

    Attributes:
      learning_rate: peak.
      weight_decay: decoupled weight decay.
      steps: length of the run.
      warmup_steps: steps to the peak of the learning rate; at least 1.
      mean: float32 [C], subtracted from the pixels.
      std: float32 [C], divides them.
    """

    learning_rate: np.ndarray
    weight_decay: np.ndarray
    steps: np.ndarray
    warmup_steps: np.ndarray
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
    f32 = np.float32
    return Settings(
        learning_rate=f32(training.learning_rate),
        weight_decay=f32(config.weight_decay),
        steps=f32(steps),
        warmup_steps=f32(max(1.0, config.warmup * steps)),
        mean=np.asarray(mean, f32),
        std=np.asarray(std, f32),
    )


def learning_rate_at(count: jax.Array, settings: Settings) -> jax.Array:
    """The learning rate of a step; float32 scalar."""
    t = jnp.asarray(count, jnp.float32)
    rise = jnp.minimum(1.0, (t + 1.0) / settings.warmup_steps)
    fall = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(t / settings.steps, 1.0)))
    return settings.learning_rate * rise * fall


def optimiser_of(
    count: int, settings: Settings
) -> optax.GradientTransformationExtraArgs:
    """AdamW on one vector, masked; ``count`` is the number of parameters."""
    inner = optax.adamw(
        functools.partial(learning_rate_at, settings=settings),
        weight_decay=settings.weight_decay,
    )
    return optax.flatten(pruning.fixed(inner, np.ones(count, bool)))


def count_params(params: dict) -> int:
    """Number of parameters."""
    return sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(params))


def init_state(variables: dict, settings: Settings) -> TrainState:
    """The state before the first step, as NumPy arrays.

    AdamW starts from zeros and the masks from ones, so only shapes are traced: no
    program is compiled.

    Args:
      variables: ``{"params": ..., "batch_stats": ...}``.
      settings: the run's settings.

    Returns:
      The state.
    """
    params = jax.tree.map(np.asarray, variables["params"])
    shapes = jax.eval_shape(
        lambda p, s: optimiser_of(count_params(p), s).init(p), params, settings
    )
    state = TrainState(
        params=params,
        batch_stats=jax.tree.map(np.asarray, variables.get("batch_stats", {})),
        opt_state=jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes),
        totals=np.zeros(2, np.float32),
    )
    return with_masks(state, dense_masks(params))


def with_masks(state: TrainState, masks: dict) -> TrainState:
    """The state with other masks; the next step sets what they remove to zero.

    Args:
      state: a state.
      masks: tree of bool masks with the shapes of the parameters.

    Returns:
      The new state.
    """
    flat = np.concatenate([np.ravel(m) for m in jax.tree.leaves(masks)])
    return state._replace(opt_state=state.opt_state._replace(masks=flat))


def make_step(genome: genomes.Genome, num_classes: int) -> Step:
    """The jitted step of an architecture.

    Args:
      genome: the genome; its training genes do not matter.
      num_classes: number of classes.

    Returns:
      ``step(state, settings, images, labels) -> state`` with uint8 images
      [B, H, W, C] (downsampled) and int32 labels [B]. The state's buffers are donated.
    """
    return _make_step(
        dataclasses.replace(genome, training=genomes.Training()), num_classes
    )


@functools.lru_cache(maxsize=8)
def _make_step(genome, num_classes):
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
        optimiser = optimiser_of(count_params(state.params), settings)
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        sums = jnp.stack([loss * len(labels), errors.astype(jnp.float32)])
        return TrainState(params, batch_stats, opt_state, state.totals + sums)

    return jax.jit(step, donate_argnums=0)
