"""Many trainings of one architecture at once: a population.

Its members differ in the genes of training (learning rate, kind of pruning by
magnitude, sparsity), in the seed and in the weights they start from. All of them are
one program (see `population_step`), which keeps an accelerator busy where one small
network would not; a CPU gains no more than to compile once. Each member sees the images
in the order in which ``train`` shows them for its seed, and ends where ``train`` ends,
up to rounding.

As in ``train``, masks are computed on the host, at the steps of the pruning plan, which
all members share. A member that diverges goes on in the program, unheeded: its numbers
touch no other's. If the devices do not share the members out evenly, some are trained
twice, and the copies forgotten.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from spjax import genomes, networks
from spjax.data import Normalisation, Split
from spjax.training import batches, evaluate
from spjax.training import population_step as program
from spjax.training.config import TrainConfig
from spjax.training.errors import TrainingError
from spjax.training.packed import Packed, pack
from spjax.training.prune_plan import prune_plan
from spjax.training.readings import read_at
from spjax.training.result import TrainResult, history_entry
from spjax.training.sparsify import dense_masks
from spjax.training.step import TrainState, init_state, make_settings

Entries = tuple[dict | None, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """What a member of a population has of its own.

    Attributes:
      training: its genes of training and pruning.
      seed: of its fresh weights and of its order of the images.
      variables: weights it starts from; None for the population's, or fresh ones.
    """

    training: genomes.Training
    seed: int = 0
    variables: dict | None = None


def train_population(
    genome: genomes.Genome,
    members: Sequence[Member],
    train_split: Split,
    validation_split: Split,
    num_classes: int,
    normalisation: Normalisation,
    config: TrainConfig,
    *,
    variables: dict | None = None,
    devices: Sequence[jax.Device] | None = None,
    on_epoch: Callable[[int, Entries], bool | None] | None = None,
    scan: bool | None = None,
) -> tuple[TrainResult, ...]:
    """Trains and prunes one architecture several times at once.

    Args:
      genome: the architecture, valid for the images; the members' genes of training
        take the place of its own.
      members: at least one.
      train_split: images as the data set holds them; downsampled here.
      validation_split: measured after every epoch.
      num_classes: number of classes.
      normalisation: constants per channel.
      config: the settings of all; the members' seeds take the place of its own.
      variables: weights that members without their own start from; fresh ones if None.
      devices: where to train, the members shared out; all of `jax.devices` if None.
      on_epoch: called with the epoch (from 1) and the members' history entries, None
        for those that diverged; a true return value ends the run of all.
      scan: whether the steps between two looks are one program; if None, they are
        unless the device is a CPU, whose convolutions are slow inside a loop.

    Returns:
      One result for each member, in order. The seconds are its share of the whole.

    Raises:
      TrainingError: if there is no member, no device or no image, a member's pruning
        has noise, or images are to be warped.
      GenomeError: if the genome does not fit the images, or a gene is out of range.
    """
    began = time.perf_counter()
    images, held_out = batches.network_images(genome, train_split, validation_split)
    _check(genome, members, train_split, config)
    devices = jax.devices() if devices is None else list(devices)
    if not devices:
        raise TrainingError("devices is empty: leave it out to train on all")
    mesh = program.population_mesh(devices[: len(members)])
    scan = devices[0].platform != "cpu" if scan is None else scan

    batch = min(config.batch_size, len(images))
    per_epoch = len(images) // batch
    steps = per_epoch * config.epochs
    plans = [prune_plan(config, steps, _sparsity(m.training)) for m in members]
    looks = {0, 1, *(step for plan in plans for step in plan)}
    starts = [_start(genome, m, variables, images, num_classes) for m in members]
    settings = [
        make_settings(m.training, config, steps, normalisation.mean, normalisation.std)
        for m in members
    ]
    # Copies of the first members fill up what the devices would lack.
    rows = np.arange(-(-len(members) // mesh.size) * mesh.size) % len(members)
    state = program.spread(_stacked_state(starts, settings[0], rows), mesh)
    given = program.spread(_stacked(settings, rows), mesh)
    shown = program.copied((images, train_split.labels.astype(np.int32)), mesh)
    parts = program.copied(list(evaluate.equal_parts(held_out)), mesh)
    advance = program.make_advance(genome, num_classes, mesh, scan=scan)
    logits_of = program.make_logits(genome, num_classes, mesh)

    generators = [batches.order_generator(m.seed) for m in members]
    masks = [dense_masks(start["params"]) for start in starts]
    history, diverged, setup = [[] for _ in members], {}, None
    for epoch in range(1, config.epochs + 1):
        first, last = (epoch - 1) * per_epoch, epoch * per_epoch
        drawn = [_draw(rng, len(images), batch, config) for rng in generators]
        order, moves = program.spread(_stacked(drawn, rows), mesh)
        zeros = np.zeros((len(rows), 2), np.float32)
        state = state._replace(totals=program.spread(zeros, mesh))
        cuts = sorted({first, last, *(s for s in looks if first < s < last)})
        for now, then in zip(cuts, cuts[1:], strict=False):
            targets = [plan.get(now) for plan in plans]
            if any(target is not None for target in targets):
                state = _prune(genome, members, targets, state, masks, diverged, rows)
            ends = now - first, then - first
            state = advance(state, given, *shown, order, moves, *ends)
            if setup is None:
                jax.block_until_ready(state.totals)
                setup = time.perf_counter() - began
        totals = np.asarray(state.totals) / (per_epoch * batch)
        weights = state.params, state.batch_stats
        logits = [logits_of(*weights, given, part) for part in parts]
        logits = np.concatenate([np.asarray(part) for part in logits], axis=1)
        found = _members_variables(state, len(members))
        for k, own in enumerate(found):
            if k not in diverged and not np.isfinite(totals[k, 0]):
                diverged[k] = own
            if k not in diverged:
                own_logits = logits[k, : len(held_out)]
                error = evaluate.error_of(own_logits, validation_split.labels)
                entry = history_entry(epoch, *totals[k], error, own["params"])
                history[k].append(entry)
        entries = [h[-1] if k not in diverged else None for k, h in enumerate(history)]
        if len(diverged) == len(members):
            break
        if on_epoch is not None and on_epoch(epoch, tuple(entries)):
            break
    seconds = time.perf_counter() - began
    return tuple(
        TrainResult(
            variables=diverged.get(k, found[k]),
            masks=masks[k],
            history=tuple(history[k]),
            validation_error=1.0 if entry is None else entry["validation_error"],
            diverged=k in diverged,
            seconds_setup=setup / len(members),
            seconds_total=seconds / len(members),
        )
        for k, entry in enumerate(entries)
    )


def _check(genome, members, train_split, config):
    if not members:
        raise TrainingError("members is empty: a population has at least one")
    if config.warps or config.augment_mirror:
        raise TrainingError(
            "the settings turn, scale, mirror or shift images by parts of a pixel, "
            "which a population cannot: give whole shifts only, or train one by one, "
            "with `train`"
        )
    for k, member in enumerate(members):
        kind = member.training.pruning
        if kind in genomes.NOISY_KINDS and member.training.sparsity > 0:
            raise TrainingError(
                f"member {k} has pruning={kind!r}, which trains noisy weights: a "
                f"population takes {', '.join(genomes.MAGNITUDE_KINDS)}; train it "
                "alone, with `train`"
            )
        own = dataclasses.replace(genome, training=member.training)
        genomes.validate(own, train_split.images.shape[1:])


def _sparsity(training):
    return 0.0 if training.pruning == "none" else training.sparsity


def _start(genome, member, variables, images, num_classes):
    """The weights that a member starts from."""
    given = variables if member.variables is None else member.variables
    if given is not None:
        return given
    shape = images.shape[1:]
    return networks.init_variables(genome, shape, num_classes, member.seed)


def _draw(rng, count, batch, config):
    """A member's order of the images in an epoch, and how they are moved."""
    order, reach = batches.draw_order(rng, count, batch), int(config.augment_shift)
    if not reach:
        return order.astype(np.int32), None
    moves = [batches.draw_moves(rng, batch, reach) for _ in order]
    return order.astype(np.int32), np.stack(moves).astype(np.int32)


def _stacked(trees, rows):
    """Trees of arrays as one; the leading axis is that of the rows."""
    return jax.tree.map(lambda *leaves: np.stack([leaves[k] for k in rows]), *trees)


def _stacked_state(starts, settings, rows):
    """The state of all before the first step; they differ in their weights only."""
    state = init_state(starts[0], settings)
    state = jax.tree.map(lambda x: np.repeat(np.asarray(x)[None], len(rows), 0), state)
    packed = [
        (pack(start["params"]), pack(start.get("batch_stats", {}))) for start in starts
    ]
    params, batch_stats = _stacked(packed, rows)
    return state._replace(params=params, batch_stats=batch_stats)


def _prune(genome, members, targets, state, masks, diverged, rows):
    """Computes new masks in place; returns the state with them."""
    found = _members_variables(state, len(members))
    for k, (member, target, own) in enumerate(
        zip(members, targets, found, strict=True)
    ):
        finite = all(np.isfinite(x).all() for x in jax.tree.leaves(own["params"]))
        if k not in diverged and not finite:
            diverged[k] = own
        if target is None or k in diverged:
            continue
        pruned = dataclasses.replace(genome, training=member.training)
        masks[k] = read_at(pruned, own["params"], target, previous=masks[k]).masks
    flat = [pack(tree, fill=True).vector for tree in masks]
    placed = jax.device_put(_stacked(flat, rows), state.opt_state.masks.sharding)
    return state._replace(opt_state=state.opt_state._replace(masks=placed))


def _members_variables(state: TrainState, count: int) -> list[dict]:
    """Each member's own, NumPy arrays."""
    params, stats = (
        np.asarray(state.params.vector),
        np.asarray(state.batch_stats.vector),
    )
    layouts = state.params.layout, state.batch_stats.layout
    return [
        {
            "params": Packed(params[k].copy(), layouts[0]).tree(),
            "batch_stats": Packed(stats[k].copy(), layouts[1]).tree(),
        }
        for k in range(count)
    ]
