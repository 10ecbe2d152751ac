"""Offsets for buffers with known lifetimes: dynamic storage allocation.

An arrangement is found by placing one buffer after another at its lowest possible
offset; only the order of placing matters, and some order gives the optimum: that of
the offsets in an optimal arrangement. Several orders that are known to be good are
tried (largest first as TensorFlow Lite Micro does, longest life first, by the peak
that a buffer lives through, ..). If none reaches the lower bound (the largest number
of bytes alive at one step), the best one is changed at random where it is highest, as
in Arm's Vela; and if that does not reach it either, branch and bound looks at all
orders, exactly where it comes to an end (`spjax.analysis.placement_search`).
"""

import random
from collections.abc import Iterable, Sequence

from spjax.analysis.packing import (
    Buffer,
    Placement,
    Shared,
    arena_of,
    arrange,
    meetings,
)
from spjax.analysis.placement_search import BranchAndBound


def place(
    buffers: Sequence[Buffer], shared: Shared, bound: int, limit: int = 20_000
) -> Placement:
    """Finds offsets with a small arena.

    Args:
      buffers: what to place; a size may be 0.
      shared: (output, input) -> D, for positions in the list of buffers of which the
        input dies in the step in which the output is born.
      bound: no arrangement is smaller (bytes alive at the peak).
      limit: number of partial arrangements that branch and bound may look at.

    Returns:
      The arrangement.
    """
    meets = meetings(buffers)
    best: tuple[int, tuple[int, ...], list[int]] | None = None
    in_place = {pair: d for pair, d in shared.items() if d == 0}
    some = (shared, in_place) if len(in_place) < len(shared) else (shared,)
    for order in _orders(buffers, meets):
        for pairs in (*some, {}) if best is None else some:
            offsets = arrange(order, buffers, pairs, meets)
            found = arena_of(offsets, buffers), offsets, order
            if best is None or found[0] < best[0]:
                best = found
        if best[0] <= bound:
            return Placement(best[1], best[0], True)
    arena, offsets = _climb(best, buffers, shared, meets, bound)
    search = BranchAndBound(buffers, shared, meets, bound, limit)
    return search.run(offsets, arena)


def greedy_by_size(buffers: Sequence[Buffer]) -> Placement:
    """TensorFlow Lite Micro's ``GreedyMemoryPlanner``.

    Largest buffer first, ties by descending position; each goes into the first gap
    among those placed already whose lifetimes meet its own. Nothing is shared.

    Args:
      buffers: in the order in which the runtime numbers them.

    Returns:
      The arrangement; its arena is what TFLM calls the head, without the runtime's
      own structures.
    """
    meets = meetings(buffers)
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, -i))
    offsets = arrange(order, buffers, {}, meets)
    return Placement(offsets, arena_of(offsets, buffers), False)


def _climb(
    start: tuple[int, tuple[int, ...], list[int]],
    buffers: Sequence[Buffer],
    shared: Shared,
    meets: list[list[int]],
    bound: int,
    rounds: int = 200,
) -> tuple[int, tuple[int, ...]]:
    """Moves a buffer at the top, or one that meets it, within the order of placing."""
    rng = random.Random(0)
    arena, offsets, order = start
    best = arena, offsets
    for _ in range(rounds):
        top = [
            i
            for i, o in enumerate(offsets)
            if o + buffers[i].size == arena and meets[i]
        ]
        if arena <= bound or not top:
            break
        high = rng.choice(top)
        moved = rng.choice([high, *meets[high]])
        changed = [i for i in order if i != moved]
        changed.insert(rng.randrange(len(order)), moved)
        found = arrange(changed, buffers, shared, meets)
        size = arena_of(found, buffers)
        if size <= arena:
            arena, offsets, order = size, found, changed
            best = arena, offsets
    return best


def _orders(buffers: Sequence[Buffer], meets: list[list[int]]) -> Iterable[list[int]]:
    """Orders of placing that are good more often than not."""
    steps = range(max((b.last for b in buffers), default=-1) + 1)
    load = [sum(b.size for b in buffers if b.first <= t <= b.last) for t in steps]
    urgency = [
        max((load[t] for t in range(max(b.first, 0), b.last + 1)), default=0)
        for b in buffers
    ]
    crowd = [sum(buffers[j].size for j in meets[i]) for i in range(len(buffers))]
    life = [b.last - b.first for b in buffers]
    size = [b.size for b in buffers]
    for key in (
        lambda i: (-size[i], -i),
        lambda i: (-size[i], i),
        lambda i: (-urgency[i], -life[i], -size[i]),
        lambda i: (-urgency[i], -size[i], -life[i]),
        lambda i: (-life[i], -size[i]),
        lambda i: -size[i] * (life[i] + 1),
        lambda i: (buffers[i].first, -size[i]),
        lambda i: (-buffers[i].last, -size[i]),
        lambda i: (-crowd[i], -size[i]),
    ):
        yield sorted(range(len(buffers)), key=key)
