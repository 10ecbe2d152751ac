"""The jitted training step: one masked update on one batch.

Everything that differs between runs of one architecture is an argument of the
compiled program (``Settings``): learning rate, length of the run, the constants of the
normalisation. Genomes that differ in these alone share a program,
in memory and in the persistent compilation cache. The learning rate follows a linear
warm-up and a cosine to zero (Loshchilov and Hutter 2017)::

    lr_t = peak * min(1, (t + 1) / warmup) * (1 + cos(pi * t / steps)) / 2

On a CPU a step is two programs: the gradients, which each architecture compiles, and
the optimiser's update of all parameters as one vector, which architectures share
(``packed``). Compiling takes longer than a short training, and the gradients alone
compile in half the time of both. On an accelerator a step is one program. The masks are
computed outside of the step, on the host (``with_masks``).
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
from spjax.training.compiling import quick_jit
from spjax.training.config import TrainConfig
from spjax.training.losses import loss_and_errors
from spjax.training.packed import Packed, pack
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
      params: the network's parameters; ``params.tree()`` gives them by name.
      batch_stats: running statistics of batch norm.
      opt_state: state of the pruning optimiser over the vector of parameters; holds
        masks and the step count.
      totals: float32 [2], sums of loss and of errors over images since the caller
        last set it to zero.
    """

    params: Packed
    batch_stats: Packed
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


def optimiser_of(count: int, settings: Settings) -> optax.GradientTransformation:
    """AdamW on one vector, masked; ``count`` is the number of parameters."""
    inner = optax.adamw(
        functools.partial(learning_rate_at, settings=settings),
        weight_decay=settings.weight_decay,
    )
    return pruning.fixed(inner, np.ones(count, bool))


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
    params = pack(variables["params"])
    state = TrainState(
        params=params,
        batch_stats=pack(variables.get("batch_stats", {})),
        opt_state=init_optimiser(params.layout.length, settings),
        totals=np.zeros(2, np.float32),
    )
    return with_masks(state, dense_masks(variables["params"]))


def init_optimiser(size: int, settings: Settings) -> optax.OptState:
    """The state of ``optimiser_of`` before the first step, all zeros, as NumPy arrays.

    Args:
      size: length of the vector of parameters.
      settings: the run's settings.

    Returns:
      The state; its masks are yet to be set.
    """
    shapes = jax.eval_shape(
        lambda s: optimiser_of(size, s).init(jnp.zeros(size)), settings
    )
    return jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes)


def with_masks(state: TrainState, masks: dict) -> TrainState:
    """The state with other masks; the next step sets what they remove to zero.

    Args:
      state: a state.
      masks: tree of bool masks with the shapes of the parameters.

    Returns:
      The new state.
    """
    flat = pack(masks, fill=True).vector
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
    if jax.default_backend() != "cpu":
        return jax.jit(
            step_function(genome, num_classes, "inference"), donate_argnums=0
        )
    gradients = quick_jit(_gradients(genome, num_classes, "training"))

    def step(state, settings, images, labels):
        found = gradients(state.params, state.batch_stats, settings, images, labels)
        return _update(_shared_update(), state, settings, found)

    return step


def step_function(genome: genomes.Genome, num_classes: int, lowering: str) -> Step:
    """The step of ``make_step`` as one pure function, to be jitted or mapped.

    Args:
      genome: the genome; its training genes do not matter.
      num_classes: number of classes.
      lowering: of the network, as in `networks.build`.

    Returns:
      ``step(state, settings, images, labels) -> state``.
    """
    gradients = _gradients(genome, num_classes, lowering)

    def step(state, settings, images, labels):
        found = gradients(state.params, state.batch_stats, settings, images, labels)
        return _update(_update_vectors, state, settings, found)

    return step


def _gradients(genome, num_classes, lowering):
    """What a batch tells: gradients, statistics, sums of loss and errors.

    The statistics are those of the batch times the share with which they enter the
    running ones, as a network with running statistics of zero gives them.
    """
    module = networks.build(genome, num_classes, lowering=lowering)

    def gradients(params, batch_stats, settings, images, labels):
        x = (images.astype(jnp.float32) - settings.mean) / settings.std
        none = jax.tree.map(jnp.zeros_like, batch_stats.tree())

        def loss_of(params):
            variables = {"params": params, "batch_stats": none}
            logits, changed = module.apply(
                variables, x, train=True, mutable=["batch_stats"]
            )
            loss, errors = loss_and_errors(logits, labels)
            return loss, (changed.get("batch_stats", none), errors)

        grad = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (stats, errors)), grads = grad(params.tree())
        sums = jnp.stack([loss * len(labels), errors])
        return pack(grads).vector, pack(stats).vector, sums

    return gradients


@functools.lru_cache(maxsize=1)
def _shared_update():
    return quick_jit(_update_vectors, donate_argnums=0)


def _update(update, state, settings, found):
    """``update`` of the state's bare vectors: layouts are no part of its program."""
    vectors = state.params.vector, state.batch_stats.vector, *state[2:]
    params, stats, *rest = update(vectors, settings, found)
    return TrainState(
        Packed(params, state.params.layout),
        Packed(stats, state.batch_stats.layout),
        *rest,
    )


def _update_vectors(vectors, settings, found):
    """AdamW on the vector of parameters; the running statistics follow the batch's."""
    params, stats, opt_state, totals = vectors
    slopes, moments, sums = found
    optimiser = optimiser_of(len(params), settings)
    updates, opt_state = optimiser.update(slopes, opt_state, params)
    params = optax.apply_updates(params, updates)
    return params, networks.MOMENTUM * stats + moments, opt_state, totals + sums
