"""Buffers with lifetimes and offsets, and how one is fitted among others.

Two buffers whose lifetimes meet must not share a byte, with one exception: an input
``x`` that dies in the step in which an output ``y`` is born may start at ``y + D`` or
later (D from `spjax.analysis.overlap`, 0 or more), overlapping its end.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Buffer:
    """A number of bytes that are needed for some steps.

    Attributes:
      name: of the storage, or of a task's scratch.
      size: bytes, a multiple of the alignment.
      first: first step of its life.
      last: last step of its life, inclusive.
    """

    name: str
    size: int
    first: int
    last: int


@dataclasses.dataclass(frozen=True)
class Placement:
    """Offsets of buffers.

    Attributes:
      offsets: by position in the list of buffers.
      arena: bytes from 0 to the end of the highest buffer.
      exact: whether no arrangement has a smaller arena.
    """

    offsets: tuple[int, ...]
    arena: int
    exact: bool


Shared = Mapping[tuple[int, int], int]


def clashes(
    buffers: Sequence[Buffer], offsets: Sequence[int], shared: Shared
) -> list[tuple[str, str]]:
    """Pairs of buffers that wrongly share a byte at some step.

    Args:
      buffers: the buffers.
      offsets: their offsets.
      shared: as in `place`.

    Returns:
      Names, empty if the arrangement is valid.
    """
    wrong = []
    for i, a in enumerate(buffers):
        for j in range(i + 1, len(buffers)):
            b = buffers[j]
            if a.last < b.first or b.last < a.first or not a.size or not b.size:
                continue
            x, y = offsets[i], offsets[j]
            apart = x + a.size <= y or y + b.size <= x
            allowed = any(
                out in offsets_of and offsets_of[into] >= offsets_of[out] + distance
                for offsets_of in ({i: x, j: y},)
                for (out, into), distance in shared.items()
                if {out, into} == {i, j}
            )
            if not apart and not allowed:
                wrong.append((a.name, b.name))
    return wrong


def meetings(buffers: Sequence[Buffer]) -> list[list[int]]:
    """For each buffer, the others that are alive at some step of its life."""
    return [
        [
            j
            for j, b in enumerate(buffers)
            if j != i and b.size and a.size and a.first <= b.last and b.first <= a.last
        ]
        for i, a in enumerate(buffers)
    ]


def lowest(
    i: int,
    buffers: Sequence[Buffer],
    offsets: Sequence[int | None],
    shared: Shared,
    meets: list[list[int]],
    start: int = 0,
) -> int:
    """Lowest offset, from some start on, at which a buffer fits among those placed."""
    size, taken = buffers[i].size, []
    for j in meets[i]:
        other = offsets[j]
        if other is None:
            continue
        low, high = other - size + 1, other + buffers[j].size - 1
        if (i, j) in shared:  # i is the output: it may start D below the input's start
            low = max(low, other - shared[i, j] + 1)
        elif (j, i) in shared:
            high = min(high, other + shared[j, i] - 1)
        if low <= high:
            taken.append((low, high))
    offset = start
    for low, high in sorted(taken):
        if low > offset:
            break
        offset = max(offset, high + 1)
    return offset


def arrange(
    order: Iterable[int],
    buffers: Sequence[Buffer],
    shared: Shared,
    meets: list[list[int]],
) -> tuple[int, ...]:
    """Places buffers one after another, each at its lowest possible offset."""
    offsets: list[int | None] = [None] * len(buffers)
    for i in order:
        offsets[i] = lowest(i, buffers, offsets, shared, meets)
    return tuple(offset or 0 for offset in offsets)


def arena_of(offsets: Sequence[int], buffers: Sequence[Buffer]) -> int:
    """Bytes from 0 to the end of the highest buffer."""
    return max((o + b.size for o, b in zip(offsets, buffers, strict=True)), default=0)
