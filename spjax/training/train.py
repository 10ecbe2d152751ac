"""One training run: genome and data in, sparse weights out.

Kinds of pruning by magnitude compute masks while they train. Those with noise train
noisy weights until the middle of that time; then the means go on as a plain network
and lose, step by step, what log alpha says that they can spare.

A Python loop over a jitted step: on a CPU, XLA's convolutions inside ``lax.scan``
cost several times as much (jax issue 12868). Images stay uint8 until they are inside
the step.
"""

import time
from collections.abc import Callable

import jax
import numpy as np

from spjax import genomes, networks
from spjax.data import Normalisation, Split
from spjax.training import evaluate
from spjax.training.batches import (
    augmented,
    draw_order,
    network_images,
    order_generator,
)
from spjax.training.config import TrainConfig
from spjax.training.noisy_layers import mean_params
from spjax.training.noisy_step import (
    init_noisy_state,
    make_noisy_settings,
    make_noisy_step,
    settle,
)
from spjax.training.packed import Packed
from spjax.training.prune_plan import prune_plan
from spjax.training.readings import noise_of, read_at
from spjax.training.result import TrainResult, history_entry
from spjax.training.sparsify import dense_masks
from spjax.training.step import init_state, make_settings, make_step, with_masks

# Steps between two looks at the loss; each look waits for the device.
_LOOK = 25


def train(
    genome: genomes.Genome,
    train_split: Split,
    validation_split: Split,
    num_classes: int,
    normalisation: Normalisation,
    config: TrainConfig,
    *,
    variables: dict | None = None,
    on_epoch: Callable[[int, dict], bool | None] | None = None,
) -> TrainResult:
    """Trains and prunes a genome's network.

    Args:
      genome: valid for the images.
      train_split: images as the data set holds them; downsampled here.
      validation_split: measured after every epoch.
      num_classes: number of classes.
      normalisation: constants per channel.
      config: the run's settings.
      variables: weights to start from (inherited ones); fresh ones if None.
      on_epoch: called with the epoch (from 1) and its history entry; a true return
        value ends the run.

    Returns:
      The result. Equal arguments give equal results on one machine.

    Raises:
      TrainingError: if there is no image to train on.
      GenomeError: if the genome does not fit the images.
    """
    start = time.perf_counter()
    images, held_out = network_images(genome, train_split, validation_split)
    if variables is None:
        shape = images.shape[1:]
        variables = networks.init_variables(genome, shape, num_classes, config.seed)

    batch = min(config.batch_size, len(images))
    per_epoch = len(images) // batch
    steps = per_epoch * config.epochs
    genes = genome.training
    settings = make_settings(
        genes, config, steps, normalisation.mean, normalisation.std
    )
    plan = prune_plan(config, steps, 0.0 if genes.pruning == "none" else genes.sparsity)
    masks, threshold, noise = dense_masks(variables["params"]), None, None
    noisy = genes.pruning in genomes.NOISY_KINDS and genes.sparsity > 0
    if noisy:
        middle = (min(plan) + max(plan)) // 2
        plan = {step: target for step, target in plan.items() if step >= middle}
        state = init_noisy_state(variables, genes.pruning, settings)
        step = make_noisy_step(genome, num_classes)
        given = make_noisy_settings(settings, config, genes, len(images), min(plan))
    else:
        state = init_state(variables, settings)
        step, given = make_step(genome, num_classes), settings
    rng = order_generator(config.seed)
    setup = None
    history, diverged, error = [], False, 1.0
    for epoch in range(1, config.epochs + 1):
        order = draw_order(rng, len(images), batch)
        state = state._replace(totals=np.zeros(2, np.float32))
        for number, chosen in enumerate(order):
            target = plan.get((epoch - 1) * per_epoch + number)
            if target is not None:
                params = _params(state)
                if not _finite(params):
                    diverged = True
                    break
                if noisy:
                    noise = noise_of(params)
                    state, given, noisy = settle(state), settings, False
                    params = _params(state)
                    step = make_step(genome, num_classes)
                masks, threshold = read_at(
                    genome, params, target, noise=noise, previous=masks
                )
                state = with_masks(state, masks)
            pixels = augmented(rng, images[chosen], config)
            state = step(state, given, pixels, train_split.labels[chosen])
            if setup is None:
                jax.block_until_ready(state.totals)
                setup = time.perf_counter() - start
            if number % _LOOK == 0 and not np.isfinite(state.totals[0]):
                diverged = True
                break
        loss, errors = np.asarray(state.totals) / (per_epoch * batch)
        if diverged or not np.isfinite(loss):
            diverged = True
            break
        logits = evaluate.predict(
            genome, _variables(state), held_out, num_classes, normalisation
        )
        error = evaluate.error_of(logits, validation_split.labels)
        entry = history_entry(epoch, loss, errors, error, _variables(state)["params"])
        history.append(entry)
        if on_epoch is not None and on_epoch(epoch, entry):
            break
    return TrainResult(
        variables=jax.tree.map(np.asarray, _variables(state)),
        masks=masks,
        history=tuple(history),
        validation_error=1.0 if diverged else error,
        diverged=diverged,
        seconds_setup=setup,
        seconds_total=time.perf_counter() - start,
        threshold=threshold,
        noise=noise,
    )


def _finite(params):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def _variables(state):
    """Plain ones: of a noisy training the means."""
    stats = state.batch_stats
    return {
        "params": mean_params(_params(state)),
        "batch_stats": stats.tree() if isinstance(stats, Packed) else stats,
    }


def _params(state):
    """By name, as NumPy arrays; of a noisy training with those of the noise."""
    params = state.params
    return (
        params.tree()
        if isinstance(params, Packed)
        else jax.tree.map(np.asarray, params)
    )
