"""Depth-first walk between downsets within a bound, committing at every valley.

From a downset S the walk tries one task after another. As soon as it reaches a downset
with no more live bytes than S, it replaces S by the least-live downset on the way there
and never tries the other tasks: every order that goes on from S within the bound can go
there first. If no task leads to such a downset, S is dead, and is remembered as such.

Walked backwards, tasks are taken back instead of run; everything else is the same.
"""

from spjax.analysis.cut import least_live
from spjax.analysis.problem import Problem, bits


class CutOff(Exception):  # noqa: N818 - not an error: a search that was ended
    """The walk looked at as many downsets as it was allowed to."""


class Walk:
    """One walk between two downsets.

    Attributes:
      exceeded: lowest transient above the bound that it met.
      looked_at: number of downsets that it looked at.
    """

    def __init__(
        self,
        problem: Problem,
        bound: int,
        low: int,
        high: int,
        forward: bool,
        limit: int,
    ):
        self._problem = problem
        self._bound = bound
        self._forward = forward
        self._free = high & ~low
        self._start, self._end = (low, high) if forward else (high, low)
        self._limit = limit
        self._dead: dict[int, int] = {}
        self.exceeded = 1 << 60
        self.looked_at = 0

    def run(self, whole: bool) -> list[int] | None:
        """Walks to the nearest valley, or as a whole to the other end.

        Args:
          whole: whether only the other end will do.

        Returns:
          Tasks in the order of the walk; None if the bound does not allow it.

        Raises:
          CutOff: at the limit.
        """
        live = self._problem.live(self._start)
        found = self._descend(self._start, live, -1 if whole else live, not whole)
        return None if found is None else found[0]

    def _descend(
        self, state: int, live: int, target: int, leave: bool = False
    ) -> tuple[list[int], int, int] | None:
        """Walks from a downset to one with at most some live bytes, or to the end.

        Args:
          state: a downset.
          live: its live bytes.
          target: live bytes to come down to.
          leave: whether the downset itself does not count.

        Returns:
          (tasks, the downset reached, its live bytes), or None.
        """
        path: list[int] = []
        entry = state
        while leave or (live > target and state != self._end):
            if self._dead.get(state, -2) >= target and not leave:
                return None
            stretch = None
            for task, other, after in self._moves(state, live):
                # Wherever it gets to, coming down to this downset's own level will do.
                found = self._descend(other, after, live)
                if found is not None:
                    stretch, reached = [task, *found[0]], found[1]
                    break
            if stretch is None:
                for dead in (state, entry):
                    self._dead[dead] = max(self._dead.get(dead, -2), target)
                return None
            if reached == self._end:
                return path + stretch, reached, found[2]
            tasks, state = trimmed(self._problem, stretch, state, self._forward)
            live = self._problem.live(state)
            path += tasks
            leave = False
        return path, state, live

    def _moves(self, state: int, live: int) -> list[tuple[int, int, int]]:
        """(task, downset after it, its live bytes), fewest live bytes first."""
        self.looked_at += 1
        if self.looked_at > self._limit:
            raise CutOff
        problem, forward = self._problem, self._forward
        step = problem.step if forward else problem.unstep
        moves = []
        for task in bits(self._free & ~state if forward else self._free & state):
            if (
                problem.before[task] & ~state
                if forward
                else problem.after[task] & state
            ):
                continue
            during, after = step(state, live, task)
            if during > self._bound:
                self.exceeded = min(self.exceeded, during)
            elif after <= live:
                return [(task, state ^ 1 << task, after)]
            else:
                moves.append((task, state ^ 1 << task, after))
        return sorted(moves, key=lambda move: move[2])


def trimmed(
    problem: Problem, path: list[int], state: int, forward: bool
) -> tuple[list[int], int]:
    """Cuts a walk to the least-live downset between its ends.

    Args:
      problem: the ordering problem.
      path: tasks in the order of the walk.
      state: the downset that it starts from.
      forward: whether the tasks are run or taken back.

    Returns:
      (the tasks that lead there, that downset).
    """
    if len(path) == 1:
        return path, state ^ 1 << path[0]
    reached = sum(1 << task for task in path)
    if forward:
        _, _, end = least_live(problem, state, state | reached)
        return [t for t in path if end >> t & 1], end
    _, end, _ = least_live(problem, state & ~reached, state)
    return [t for t in path if not end >> t & 1], end
