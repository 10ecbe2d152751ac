"""All downsets within a bound between two given ones, breadth first, in NumPy.

A task is *falling* if all that it reads dies in it whatever has run before, and its
output is no larger: it never adds to the live bytes. A downset that has run more
falling tasks, and the same other tasks, is better: whatever another order does from the
smaller downset on can be done from the larger one with no byte more (submodularity, see
`spjax.analysis.order`). So

1. every downset runs at once all falling tasks that the bound lets it run,
2. of downsets with the same other tasks, those that lie in another one are dropped, and
3. a downset from which another task leads to no more live bytes takes this way only.

Downsets are bits of 64-bit numbers, a front is all those with equally many other tasks.
With fronts of a limited width, those with the fewest live bytes, a good way is found
sooner, but finding none proves nothing.
"""

from collections.abc import Sequence

import numpy as np

from spjax.analysis.problem import Problem, bits
from spjax.analysis.walk import CutOff

WORD = 62  # tasks that fit
_NEVER = 1 << 60


class Front:
    """One search.

    Attributes:
      exceeded: lowest transient above the bound that it met.
    """

    def __init__(
        self,
        problem: Problem,
        bound: int,
        low: int,
        high: int,
        limit: int,
        width: int | None = None,
    ):
        """Prepares a search from one downset to another.

        Args:
          problem: of at most `WORD` tasks.
          bound: in bytes.
          low: where it starts.
          high: where it ends.
          limit: number of downsets to keep in all.
          width: number of downsets to keep in a front; None for all.
        """
        self._problem, self._bound = problem, bound
        self._low, self._high, self._left = low, high, limit
        self._width = width
        self.exceeded = _NEVER
        free = [task for task in bits(high & ~low)]
        self._others = [task for task in free if not self._falls(task)]
        # (task, its transient and its live bytes afterwards, above those before it):
        # what dies is the same after whatever has run.
        whole = problem.everything
        self._falling = [
            (task, *problem.step(whole & ~(1 << task), 0, task))
            for task in free
            if self._falls(task)
        ]
        self._mask = np.int64(sum(1 << task for task in self._others))

    def run(self) -> list[int] | None:
        """Tasks in order, or None if the bound does not allow it.

        Raises:
          CutOff: at the limit.
        """
        states = np.array([self._low], np.int64)
        lives = np.array([self._problem.live(self._low)], np.int64)
        states, lives = self._settle(states, lives)
        fronts, parents = [states], []
        for _ in self._others:
            states, lives, parent = self._advance(states, lives)
            if not len(states):
                return None
            self._left -= len(states)
            if self._left < 0:
                raise CutOff
            fronts.append(states)
            parents.append(parent)
        ends = np.flatnonzero(states == self._high)
        return self._path(fronts, parents, int(ends[0])) if len(ends) else None

    def _falls(self, task: int) -> bool:
        problem, size = self._problem, self._problem.sizes
        out, reads = problem.output[task], problem.inputs[task]
        private = all(problem.readers[s] == 1 << task for s in reads)
        if not private or any(problem.kept[s] for s in reads):
            return False
        stays = problem.kept[out] or problem.readers[out]
        return (size[out] if stays else 0) <= sum(size[s] for s in reads)

    def _settle(
        self, states: np.ndarray, lives: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Runs falling tasks as long as some fit."""
        states, lives, changed = states.copy(), lives.copy(), True
        while changed:
            changed = False
            for task, during, after in self._falling:
                ready = self._ready(states, task)
                fits = ready & (lives + during <= self._bound)
                self._exceed(lives[ready & ~fits] + during)
                if fits.any():
                    states[fits] |= np.int64(1 << task)
                    lives[fits] += after
                    changed = True
        return states, lives

    def _ready(self, states: np.ndarray, task: int) -> np.ndarray:
        before = np.int64(self._problem.before[task])
        return (states >> task & 1 == 0) & (before & ~states == 0)

    def _exceed(self, transients: np.ndarray) -> None:
        self.exceeded = min(self.exceeded, int(transients.min(initial=_NEVER)))

    def _advance(
        self, states: np.ndarray, lives: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(next front, its live bytes, positions in this one they came from)."""
        moves, committed = [], np.zeros(len(states), bool)
        for task in self._others:
            at = np.flatnonzero(self._ready(states, task))
            during, after = self._step(states[at], lives[at], task)
            fits = during <= self._bound
            self._exceed(during[~fits])
            at, after = at[fits], after[fits]
            valley = after <= lives[at]
            chosen = valley & ~committed[at]
            committed[at[valley]] = True
            moves.append((task, at, after, chosen))
        found, bytes_, parent = [], [], []
        for task, at, after, chosen in moves:
            keep = chosen | ~committed[at]
            found.append(states[at[keep]] | np.int64(1 << task))
            bytes_.append(after[keep])
            parent.append(at[keep])
        states, first = np.unique(np.concatenate(found), return_index=True)
        lives, parent = np.concatenate(bytes_)[first], np.concatenate(parent)[first]
        states, lives = self._settle(states, lives)
        keep = self._best(states)
        if self._width is not None and len(keep) > self._width:
            keep = keep[np.argsort(lives[keep], kind="stable")[: self._width]]
        return states[keep], lives[keep], parent[keep]

    def _step(
        self, states: np.ndarray, lives: np.ndarray, task: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """`Problem.step` for many downsets: they differ in which inputs die."""
        problem = self._problem
        pattern = np.zeros(len(states), np.int64)
        for i, s in enumerate(problem.inputs[task]):
            later = np.int64(problem.readers[s] & ~(1 << task))
            pattern |= (later & ~states == 0).astype(np.int64) << i
        during, after = lives.copy(), lives.copy()
        for value, one in zip(*np.unique(pattern, return_index=True), strict=True):
            same = pattern == value
            more, change = problem.step(int(states[one]), 0, task)
            during[same] += more
            after[same] += change
        return during, after

    def _best(self, states: np.ndarray) -> np.ndarray:
        """Positions of downsets that are in no other one with the same other tasks."""
        count = np.bitwise_count(states)
        order = np.lexsort((-count.astype(np.int64), states & self._mask))
        ranked = states[order]
        key = ranked & self._mask
        new = np.ones(len(key), bool)
        new[1:] = key[1:] != key[:-1]
        largest = ranked[np.flatnonzero(new)[np.cumsum(new) - 1]]
        return order[new | (ranked & ~largest != 0)]

    def _path(
        self, fronts: Sequence[np.ndarray], parents: Sequence[np.ndarray], at: int
    ) -> list[int]:
        """The tasks that lead to a downset of the last front."""
        chain = [int(fronts[-1][at])]
        for states, parent in zip(fronts[-2::-1], parents[::-1], strict=True):
            at = int(parent[at])
            chain.append(int(states[at]))
        chain.append(self._low)
        path: list[int] = []
        done, live = self._low, self._problem.live(self._low)
        for state in reversed(chain):
            new = list(bits(state & ~done))
            # The other task first, then falling ones as they fit.
            new.sort(key=lambda task: task not in self._others)
            while new:
                for task in new:
                    if self._problem.before[task] & ~done:
                        continue
                    during, after = self._problem.step(done, live, task)
                    if during <= self._bound:
                        break
                else:
                    raise AssertionError("a way that was found is lost")
                path.append(task)
                new.remove(task)
                done, live = done | 1 << task, after
        return path
