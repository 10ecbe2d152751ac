"""The least peak over all orders of operations, by looking at every one there can be.

For each set of operations that can have run (closed under predecessors), the least peak
of any order of it is found from the sets with one operation fewer. No bound is used and
nothing is left out, so the number of sets is all that limits it: exponential in the
number of parallel branches. Written from the definition of bytes alive, apart from
`spjax.analysis.order`, which it is there to check.
"""

import functools
from collections.abc import Mapping

import numpy as np

from spjax import analysis

_WORD = 62  # operations that fit in a signed 64-bit set


def least_peak(
    program: analysis.Program,
    sizes: Mapping[str, int],
    overlaps: Mapping[tuple[str, str], int],
    limit: int = 300_000,
) -> int | None:
    """The smallest possible peak of bytes alive.

    Args:
      program: the program.
      sizes: bytes by storage.
      overlaps: (operation, storage) -> D: the storage, if it dies in that operation,
        may start D bytes above the start of the operation's output.
      limit: number of sets to look at.

    Returns:
      Bytes; None if there are more sets than the limit, or more than 62 operations.
    """
    if len(program.operations) > _WORD:
        return None
    search = _Search(program, sizes, overlaps)
    states = np.zeros(1, np.int64)
    peaks, seen = search.live(states), 1
    for _ in program.operations:
        states, peaks = search.longer(states, peaks)
        seen += len(states)
        if seen > limit:
            return None
    return int(peaks[0])


class _Search:
    def __init__(self, program: analysis.Program, sizes: Mapping, overlaps: Mapping):
        number = {op.name: i for i, op in enumerate(program.operations)}
        kept = {program.storage(name) for name in program.outputs}
        self._storages = []
        for name in program.storages:
            readers = sum(
                1 << number[op.name]
                for op in program.operations
                if name in program.reads(op)
            )
            producer = program.tensors[name].producer
            made_by = 0 if producer is None else 1 << number[producer]
            self._storages.append((sizes[name], made_by, readers, name in kept))
        position = {name: i for i, name in enumerate(program.storages)}
        self._operations = []
        for op in program.operations:
            before, shared = 0, []
            for name in program.reads(op):
                size, made_by, readers, is_kept = self._storages[position[name]]
                before |= made_by
                if (op.name, name) in overlaps and not is_kept:
                    shared.append((overlaps[op.name, name], size, readers))
            self._operations.append((before, sizes[op.output], shared))

    def live(self, states: np.ndarray) -> np.ndarray:
        """Bytes alive once the operations of each set have run."""
        total = np.zeros(len(states), np.int64)
        for size, made_by, readers, kept in self._storages:
            needed = np.ones(len(states), bool) if kept else (readers & ~states) != 0
            total += size * (needed & (made_by & ~states == 0))
        return total

    def longer(
        self, states: np.ndarray, peaks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """All sets with one more operation, with their least peaks."""
        live, found, costs = self.live(states), [], []
        for i, (before, size, shared) in enumerate(self._operations):
            ready = (states >> i & 1 == 0) & (before & ~states == 0)
            chosen, during = states[ready], live[ready]
            bit = np.int64(1 << i)
            pattern = np.zeros(len(chosen), np.int64)
            for k, (_, _, readers) in enumerate(shared):
                pattern |= (readers & ~(chosen | bit) == 0).astype(np.int64) << k
            for value in np.unique(pattern):
                dying = [pair[:2] for k, pair in enumerate(shared) if value >> k & 1]
                extra = _extent(size, tuple(dying)) - sum(n for _, n in dying)
                during[pattern == value] += extra
            found.append(chosen | bit)
            costs.append(np.maximum(peaks[ready], during))
        states, where = np.unique(np.concatenate(found), return_inverse=True)
        least = np.full(len(states), np.iinfo(np.int64).max)
        np.minimum.at(least, where, np.concatenate(costs))
        return states, least


@functools.cache
def _extent(out: int, dying: tuple[tuple[int, int], ...]) -> int:
    """Bytes of an output and dying inputs, over all orders of those from below."""

    @functools.cache
    def top(some: frozenset[int]) -> int:
        ways = [max(top(some - {k}), min(dying[k][0], out)) + dying[k][1] for k in some]
        return min(ways, default=0)

    return max(out, top(frozenset(range(len(dying)))))
