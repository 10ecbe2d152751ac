"""Branch and bound over arrangements of buffers.

Buffers are placed by rising offset, each at its lowest possible offset at or above the
last one's. Some such sequence gives an optimal arrangement. A branch ends where

- a buffer that is left cannot end below the best arena found so far,
- what is left alive at some step needs more bytes than are free there, or
- a buffer starts above another one that is left and fits below it whole: that one
  may as well be placed first.
"""

from collections.abc import Sequence

from spjax.analysis.packing import Buffer, Placement, Shared, arena_of, lowest


class BranchAndBound:
    """One search.

    Args:
      buffers: what to place.
      shared: (output, input) -> D, as in `spjax.analysis.placement.place`.
      meets: from `spjax.analysis.packing.meetings`.
      bound: an arena of this many bytes cannot be improved on.
      limit: partial arrangements to look at.
    """

    def __init__(
        self,
        buffers: Sequence[Buffer],
        shared: Shared,
        meets: list[list[int]],
        bound: int,
        limit: int,
    ):
        self._buffers = buffers
        self._shared = shared
        self._meets = meets
        self._bound = bound
        self._left = limit
        self._best = 0
        self._offsets: Sequence[int] = ()
        steps = range(max((b.last for b in buffers), default=-1) + 1)
        alive = [
            [i for i, b in enumerate(buffers) if b.size and b.first <= t <= b.last]
            for t in steps
        ]
        # A step whose buffers are all alive at another one, too, says nothing new.
        self._crowds = [
            a for a in alive if a and not any(set(a) < set(b) for b in alive)
        ]
        self._crowds = [list(c) for c in dict.fromkeys(map(tuple, self._crowds))]
        self._savings = [self._saving(crowd) for crowd in self._crowds]
        self._met_by = [set(others) for others in meets]

    def run(self, offsets: Sequence[int], arena: int) -> Placement:
        """Looks for an arrangement with a smaller arena than the given one."""
        self._best, self._offsets = arena, offsets
        if arena > self._bound:
            left = [i for i, b in enumerate(self._buffers) if b.size]
            left.sort(key=lambda i: -self._buffers[i].size)
            empty: list[int | None] = [None if b.size else 0 for b in self._buffers]
            self._extend(empty, left, [0] * len(empty), 0, None)
        proved = self._left > 0 or self._best <= self._bound
        return Placement(tuple(self._offsets), self._best, proved)

    def _extend(
        self,
        offsets: list[int | None],
        left: list[int],
        places: list[int],
        start: int,
        placed: int | None,
    ) -> bool:
        """Places the rest at or above an offset; whether to stop altogether.

        Args:
          offsets: of the buffers that are placed.
          left: the others.
          places: their lowest offsets, before the last one was placed.
          start: offset of the last one.
          placed: the last one.
        """
        self._left -= 1
        if self._left <= 0:
            return True
        if not left:
            arena = arena_of([o or 0 for o in offsets], self._buffers)
            if arena < self._best:
                self._best, self._offsets = arena, [o or 0 for o in offsets]
            return self._best <= self._bound
        if self._is_full(offsets, start):
            return False
        places, first_end = list(places), self._best
        for i in left:
            if places[i] < start or placed in self._met_by[i]:
                places[i] = lowest(
                    i, self._buffers, offsets, self._shared, self._meets, start
                )
            end = places[i] + self._buffers[i].size
            if end >= self._best:
                return False
            first_end = min(first_end, end)
        for i in sorted(left, key=lambda i: (places[i], -self._buffers[i].size)):
            if places[i] >= first_end:
                break
            offsets[i] = places[i]
            rest = [j for j in left if j != i]
            if self._extend(offsets, rest, places, places[i], i):
                return True
            offsets[i] = None
        return False

    def _is_full(self, offsets: list[int | None], start: int) -> bool:
        """Whether what is left does not fit above an offset at some step."""
        room = self._best - 1 - start
        need = []  # bytes at or above the start, by buffer
        for buffer, at in zip(self._buffers, offsets, strict=True):
            above = buffer.size if at is None else at + buffer.size - start
            need.append(buffer.size if above > buffer.size else max(0, above))
        return any(
            sum([need[i] for i in crowd]) - saving > room
            for crowd, saving in zip(self._crowds, self._savings, strict=True)
        )

    def _saving(self, crowd: list[int]) -> int:
        """Most bytes that overlapping pairs of a step can save together."""
        inputs = {into: out for out, into in self._shared if out in crowd}
        return sum(
            min(self._buffers[into].size, self._buffers[out].size)
            for into, out in inputs.items()
            if into in crowd
        )
