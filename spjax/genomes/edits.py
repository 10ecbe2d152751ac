"""The edits that a morph chooses from: a table from name to a small pure function.

An edit takes (rng, genome, bounds) and yields candidate genomes: each place where it
may act, in random order, with each new value that it may write there. It need not
know whether a candidate is valid, different or within bounds; `morph` takes the first
that is. An edit that does not apply yields nothing.

Sizes (channels, units) change by a factor of 2^u, u ~ U(1/4, 1), up or down; the
learning rate and the share of weights kept (1 - sparsity) by a log-normal factor.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from spjax.genomes.bounds import Bounds
from spjax.genomes.genome import Block, Conv, Genome, Pool, Training
from spjax.genomes.random_draw import draw_conv, draw_size, pick

_T = TypeVar("_T")
_Rng = np.random.Generator
_Change = Callable[[_Rng, _T, Bounds], Iterator[_T]]
Edit = _Change[Genome]

# Draws of a continuous step before the edit is given up: a step may be clipped back
# to where it began.
_STEPS = 16
_LEARNING_RATE_SPREAD = math.log(2)
_DENSITY_SPREAD = 0.5


def _shuffled(rng: _Rng, items: Iterable[_T]) -> Iterator[_T]:
    items = list(items)
    return (items[int(i)] for i in rng.permutation(len(items)))


def _put(items: tuple, index: int, *new: object) -> tuple:
    """The tuple with the entry at `index` replaced by any number of others."""
    return (*items[:index], *new, *items[index + 1 :])


def _in_block(change: _Change[Block]) -> Edit:
    """Lifts a change of a block to a change of a genome, at any of its blocks."""

    def edit(rng: _Rng, genome: Genome, bounds: Bounds) -> Iterator[Genome]:
        for b in _shuffled(rng, range(len(genome.blocks))):
            for block in change(rng, genome.blocks[b], bounds):
                yield dataclasses.replace(genome, blocks=_put(genome.blocks, b, block))

    return edit


def _in_conv(change: _Change[Conv]) -> Edit:
    """Lifts a change of a convolution to a change of a genome."""

    def edit(rng: _Rng, block: Block, bounds: Bounds) -> Iterator[Block]:
        for c in _shuffled(rng, range(len(block.convs))):
            for conv in change(rng, block.convs[c], bounds):
                yield dataclasses.replace(block, convs=_put(block.convs, c, conv))

    return _in_block(edit)


def _in_training(change: _Change[Training]) -> Edit:
    """Lifts a change of the training genes to a change of a genome."""

    def edit(rng: _Rng, genome: Genome, bounds: Bounds) -> Iterator[Genome]:
        for training in change(rng, genome.training, bounds):
            yield dataclasses.replace(genome, training=training)

    return edit


def _choice(field: str, bound: str) -> _Change:
    """Each choice of a field."""

    def change(rng: _Rng, value: _T, bounds: Bounds) -> Iterator[_T]:
        for option in _shuffled(rng, getattr(bounds, bound)):
            yield dataclasses.replace(value, **{field: option})

    return change


def _integer(field: str, bound: str) -> _Change:
    """Each value of a field with a short integer range."""

    def change(rng: _Rng, value: _T, bounds: Bounds) -> Iterator[_T]:
        low, high = getattr(bounds, bound)
        for option in _shuffled(rng, range(low, high + 1)):
            yield dataclasses.replace(value, **{field: option})

    return change


def _resized(rng: _Rng, size: int, ends: tuple[int, int]) -> Iterator[int]:
    """A larger and a smaller size, in random order, where the range has room."""
    for up in _shuffled(rng, (True, False)):
        factor = 2 ** rng.uniform(0.25, 1)
        if up and size < ends[1]:
            yield min(max(round(size * factor), size + 1), ends[1])
        if not up and size > ends[0]:
            yield max(min(round(size / factor), size - 1), ends[0])


def _channels(rng: _Rng, conv: Conv, bounds: Bounds) -> Iterator[Conv]:
    for channels in _resized(rng, conv.channels, bounds.channels):
        yield dataclasses.replace(conv, channels=channels)


def _kernel(rng: _Rng, conv: Conv, bounds: Bounds) -> Iterator[Conv]:
    # A 1x1 kernel's padding is SAME, which a larger one may not be allowed.
    allowed = conv.padding in bounds.paddings
    padding = conv.padding if allowed else bounds.paddings[0]
    larger = dataclasses.replace(conv, padding=padding)
    yield from _integer("kernel", "kernel")(rng, larger, bounds)


def _conv_kind(rng: _Rng, conv: Conv, bounds: Bounds) -> Iterator[Conv]:
    for kind in _shuffled(rng, bounds.conv_kinds):
        if kind != conv.kind:
            reduction = pick(rng, bounds.reduction)
            yield dataclasses.replace(conv, kind=kind, reduction=reduction)


def _new_conv(rng: _Rng, bounds: Bounds, channels: int) -> Conv:
    # A map as large as the largest kernel rules nothing out.
    conv = draw_conv(rng, bounds.kernel[1], bounds)
    return dataclasses.replace(conv, channels=channels)


def _add_conv(rng: _Rng, block: Block, bounds: Bounds) -> Iterator[Block]:
    residual = block.residual or _plain(bounds.residual, False)
    for c in _shuffled(rng, range(len(block.convs) + 1)):
        channels = block.convs[max(c - 1, 0)].channels
        conv = _new_conv(rng, bounds, channels)
        convs = (*block.convs[:c], conv, *block.convs[c:])
        yield dataclasses.replace(block, convs=convs, residual=residual)
        # Where that one does not fit, the smallest may.
        small = dataclasses.replace(
            conv, kernel=bounds.kernel[0], stride=bounds.stride[0]
        )
        convs = (*block.convs[:c], small, *block.convs[c:])
        yield dataclasses.replace(block, convs=convs, residual=residual)


def _remove_conv(rng: _Rng, block: Block, bounds: Bounds) -> Iterator[Block]:
    for c in _shuffled(rng, range(len(block.convs))):
        yield dataclasses.replace(block, convs=_put(block.convs, c))


def _residual(rng: _Rng, block: Block, bounds: Bounds) -> Iterator[Block]:
    yield dataclasses.replace(block, residual=not block.residual)
    same = tuple(dataclasses.replace(conv, padding="SAME") for conv in block.convs[:2])
    yield dataclasses.replace(
        block, residual=not block.residual, convs=same + block.convs[2:]
    )


def _pool_kind(rng: _Rng, block: Block, bounds: Bounds) -> Iterator[Block]:
    low, high = bounds.pool_window
    for kind in _shuffled(rng, bounds.pool_kinds):
        if kind in ("none", "global_average"):
            yield dataclasses.replace(block, pool=Pool(kind))
        elif kind != block.pool.kind:
            windowed = block.pool.kind in ("max", "average")
            window = block.pool.window if windowed else draw_size(rng, (low, high))
            yield dataclasses.replace(block, pool=Pool(kind, window))
            yield dataclasses.replace(block, pool=Pool(kind, low))


def _pool_window(rng: _Rng, block: Block, bounds: Bounds) -> Iterator[Block]:
    if block.pool.kind in ("max", "average"):
        for pool in _integer("window", "pool_window")(rng, block.pool, bounds):
            yield dataclasses.replace(block, pool=pool)


def _add_branch(field: str) -> _Change:
    def change(rng: _Rng, value: _T, bounds: Bounds) -> Iterator[_T]:
        if getattr(value, field) == 0:
            units = draw_size(rng, bounds.branch_units)
            yield dataclasses.replace(value, **{field: units})

    return change


def _remove_branch(field: str) -> _Change:
    def change(rng: _Rng, value: _T, bounds: Bounds) -> Iterator[_T]:
        yield dataclasses.replace(value, **{field: 0})

    return change


def _resize_branch(field: str) -> _Change:
    def change(rng: _Rng, value: _T, bounds: Bounds) -> Iterator[_T]:
        units = getattr(value, field)
        for new in _resized(rng, units, bounds.branch_units) if units else ():
            yield dataclasses.replace(value, **{field: new})

    return change


def _add_block(rng: _Rng, genome: Genome, bounds: Bounds) -> Iterator[Genome]:
    for b in _shuffled(rng, range(len(genome.blocks) + 1)):
        channels = genome.blocks[max(b - 1, 0)].convs[-1].channels
        convs = [_new_conv(rng, bounds, channels) for _ in range(bounds.num_convs[0])]
        # The plainest block there may be: later edits add to it.
        kind = _plain(bounds.pool_kinds, "none")
        block = Block(
            convs=tuple(convs),
            residual=_plain(bounds.residual, False),
            pool=Pool(kind, bounds.pool_window[0]),
            branch=0 if False in bounds.branches else bounds.branch_units[0],
        )
        blocks = (*genome.blocks[:b], block, *genome.blocks[b:])
        yield dataclasses.replace(genome, blocks=blocks)


def _plain(options: Sequence[_T], plainest: _T) -> _T:
    return plainest if plainest in options else options[0]


def _remove_block(rng: _Rng, genome: Genome, bounds: Bounds) -> Iterator[Genome]:
    for b in _shuffled(rng, range(len(genome.blocks))):
        yield dataclasses.replace(genome, blocks=_put(genome.blocks, b))


def _add_dense(rng: _Rng, genome: Genome, bounds: Bounds) -> Iterator[Genome]:
    for d in _shuffled(rng, range(len(genome.dense) + 1)):
        units = draw_size(rng, bounds.dense_units)
        dense = (*genome.dense[:d], units, *genome.dense[d:])
        yield dataclasses.replace(genome, dense=dense)


def _remove_dense(rng: _Rng, genome: Genome, bounds: Bounds) -> Iterator[Genome]:
    for d in _shuffled(rng, range(len(genome.dense))):
        yield dataclasses.replace(genome, dense=_put(genome.dense, d))


def _resize_dense(rng: _Rng, genome: Genome, bounds: Bounds) -> Iterator[Genome]:
    for d in _shuffled(rng, range(len(genome.dense))):
        for units in _resized(rng, genome.dense[d], bounds.dense_units):
            yield dataclasses.replace(genome, dense=_put(genome.dense, d, units))


def _learning_rate(rng: _Rng, training: Training, bounds: Bounds) -> Iterator[Training]:
    for step in rng.normal(0, _LEARNING_RATE_SPREAD, _STEPS):
        rate = _clip(training.learning_rate * math.exp(step), bounds.learning_rate)
        yield dataclasses.replace(training, learning_rate=rate)


def _sparsity(rng: _Rng, training: Training, bounds: Bounds) -> Iterator[Training]:
    if training.pruning == "none":
        return
    for step in rng.normal(0, _DENSITY_SPREAD, _STEPS):
        sparsity = 1 - (1 - training.sparsity) * math.exp(step)
        sparsity = _clip(sparsity, bounds.sparsity)
        if sparsity > 0:  # 0 is another kind of pruning, and another edit
            yield dataclasses.replace(training, sparsity=sparsity)


def _pruning(rng: _Rng, training: Training, bounds: Bounds) -> Iterator[Training]:
    for kind in _shuffled(rng, bounds.pruning):
        fresh = training.pruning == "none"
        sparsity = float(rng.uniform(*bounds.sparsity)) if fresh else training.sparsity
        yield dataclasses.replace(training, pruning=kind, sparsity=sparsity)


def _clip(value: float, ends: tuple[float, float]) -> float:
    return float(min(max(value, ends[0]), ends[1]))


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "kernel": _in_conv(_kernel),
        "channels": _in_conv(_channels),
        "conv_kind": _in_conv(_conv_kind),
        "stride": _in_conv(_integer("stride", "stride")),
        "padding": _in_conv(_choice("padding", "paddings")),
        "batch_norm": _in_conv(_choice("batch_norm", "batch_norm")),
        "relu": _in_conv(_choice("relu", "relu")),
        "reduction": _in_conv(_choice("reduction", "reduction")),
        "add_conv": _in_block(_add_conv),
        "remove_conv": _in_block(_remove_conv),
        "residual": _in_block(_residual),
        "pool_kind": _in_block(_pool_kind),
        "pool_window": _in_block(_pool_window),
        "add_branch": _in_block(_add_branch("branch")),
        "remove_branch": _in_block(_remove_branch("branch")),
        "resize_branch": _in_block(_resize_branch("branch")),
        "add_block": _add_block,
        "remove_block": _remove_block,
        "add_input_branch": _add_branch("input_branch"),
        "remove_input_branch": _remove_branch("input_branch"),
        "resize_input_branch": _resize_branch("input_branch"),
        "add_dense": _add_dense,
        "remove_dense": _remove_dense,
        "resize_dense": _resize_dense,
        "downsample": _integer("downsample", "downsample"),
        "learning_rate": _in_training(_learning_rate),
        "sparsity": _in_training(_sparsity),
        "pruning": _in_training(_pruning),
    }
)
