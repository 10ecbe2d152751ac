"""The order of tasks with the smallest peak, exactly.

An order is a path of downsets. It is found by asking, for one bound after another,
whether some order stays within it. Two facts about ``live`` and ``transient``
(`spjax.analysis.problem`), both from submodularity, make the answer cheap:

1. Some best order from downset A to downset B passes through M, where M has the
   fewest live bytes of all downsets between them (`spjax.analysis.cut`): replace
   each S on a best path by S & M first and by S | M afterwards; no byte is added.
2. Where B itself has the fewest, any downset T within the bound's reach of A with
   ``live(T) <= live(A)`` will do (more exactly, the one with the fewest live bytes
   between A and T): every order within the bound has one that goes there first. The
   search starts afresh from it. Where A has the fewest, the same holds backwards in
   time from B.

What remains to be searched is the way from one valley to the next
(`spjax.analysis.walk`). Chains are contracted before, and equal branches ordered
(`spjax.analysis.chains`). The first bound is the largest of the
tasks' own: the least that any order holds while the task runs, by minimum cuts too.
The search that fails at a bound says which transient was the lowest to exceed it.

For trees and series-parallel graphs this is the hill-valley decomposition of Liu
(SIAM J. Algebraic Discrete Methods 1987); here it holds for any graph, with shared
inputs and outputs that overlap inputs.
"""

import dataclasses
from collections.abc import Iterator

from spjax.analysis.chains import contract, order_twins
from spjax.analysis.cut import least_live
from spjax.analysis.front import WORD, Front
from spjax.analysis.problem import Problem, bits
from spjax.analysis.schedule import Schedule
from spjax.analysis.walk import CutOff, Walk, trimmed

_NARROW, _MANY = 300, 1 << 30


@dataclasses.dataclass(frozen=True)
class Order:
    """An order of a schedule's tasks.

    Attributes:
      tasks: positions in ``schedule.tasks``, in order of execution.
      peak: bytes at the peak, outputs overlapping dying inputs as the schedule says.
      lower_bound: no order has a smaller peak.
      exact: whether the peak is the smallest possible; otherwise the search was cut
        off, and the order is merely a good one.
    """

    tasks: tuple[int, ...]
    peak: int
    lower_bound: int
    exact: bool


def program_order(schedule: Schedule, alignment: int = 1) -> Order:
    """The order of the traced function, with its peak."""
    problem = Problem(schedule, alignment)
    tasks = tuple(range(problem.count))
    peak = problem.peak(tasks)
    bound = _bound(contract(problem)[0])
    return Order(tasks, peak, bound, peak == bound)


def best_order(schedule: Schedule, alignment: int = 1, limit: int = 60_000) -> Order:
    """Finds the order with the smallest peak.

    Args:
      schedule: the tasks.
      alignment: every storage takes a multiple of this many bytes.
      limit: number of downsets to look at before the search is cut off.

    Returns:
      The order, exact unless it says otherwise.
    """
    problem = Problem(schedule, alignment)
    contracted, groups = contract(problem)
    order_twins(contracted)
    tasks = tuple(range(problem.count))
    peak = problem.peak(tasks)
    low = min(peak, _bound(contracted))
    search = _Search(contracted, limit)
    attempt, improved = low, False
    while low < peak:
        path = search.within(attempt)
        if path is None and search.cut_off:
            break
        if path is None:
            low = max(search.exceeded, attempt + 1)
        else:
            tasks = _ungrouped(path, groups)
            peak = problem.peak(tasks)
        attempt = (low + peak) // 2
        if search.hard and not improved and low < peak:
            # Few proofs are needed from a good order on: is there any below it?
            improved = True
            for path in search.quickly(low, peak):
                if problem.peak(_ungrouped(path, groups)) < peak:
                    tasks = _ungrouped(path, groups)
                    peak = problem.peak(tasks)
            attempt = peak - 1
        attempt = min(max(attempt, low), peak - 1)
    if low < peak:
        tasks, peak = min((tasks, peak), search.greedy_order(problem, groups),
                          key=lambda pair: pair[1])  # fmt: skip
    return Order(tasks, peak, low, low == peak)


def _ungrouped(path: list[int], groups: list[list[int]]) -> tuple[int, ...]:
    return tuple(task for group in path for task in groups[group])


def _bound(problem: Problem) -> int:
    """A lower bound of every order's peak: the least while each task runs."""
    above, below = problem.closures()
    result = problem.live(0)
    for task in range(problem.count):
        high = problem.everything & ~(below[task] | 1 << task)
        least, _, _ = least_live(problem, above[task], high)
        result = max(result, least + problem.least_extra(task))
    return result


class _Search:
    """Whether an order stays within a bound.

    Attributes:
      exceeded: lowest transient above the bound that the last search met.
      cut_off: whether the limit ended the last search.
      hard: whether some search was no matter of a few downsets.
    """

    def __init__(self, problem: Problem, limit: int):
        self._problem = problem
        self._left = limit
        self._front_limit = 10 * limit
        self._bound = 0
        self.exceeded = 0
        self.cut_off = False
        self.hard = False

    def within(self, bound: int) -> list[int] | None:
        """An order with no transient above the bound, or None."""
        self._bound, self.exceeded, self.cut_off = bound, 1 << 60, False
        low, high = 0, self._problem.everything
        _, middle, _ = least_live(self._problem, low, high)
        forwards: list[int] = []
        while low != middle:
            path = self._stretch(low, middle, True)
            if path is None:
                return None
            path, low = trimmed(self._problem, path, low, True)
            forwards += path
        backwards: list[int] = []
        while high != middle:
            path = self._stretch(middle, high, False)
            if path is None:
                return None
            path, high = trimmed(self._problem, path[::-1], high, False)
            backwards = path[::-1] + backwards
        return forwards + backwards

    def _stretch(self, low: int, high: int, forward: bool) -> list[int] | None:
        """A way to a valley within the bound, or None if there is none (or cut off)."""
        limit = 500
        while self._left > 0:
            for whole in (False, True):
                # From the other end, many ways up may be ways down.
                backwards = forward == whole
                walk = Walk(self._problem, self._bound, low, high, not backwards, limit)
                try:
                    path = walk.run(whole)
                except CutOff:
                    continue
                finally:
                    self._left -= walk.looked_at
                if path is None:
                    self.exceeded = walk.exceeded
                elif backwards:
                    path = path[::-1]
                return path
            self.hard = True
            if limit == 500 and self._problem.count <= WORD:
                front = Front(self._problem, self._bound, low, high, self._front_limit)
                try:
                    path = front.run()
                    self.exceeded = min(self.exceeded, front.exceeded)
                    return path
                except CutOff:
                    pass
            limit *= 3
        self.cut_off = True
        return None

    def quickly(self, low: int, high: int) -> Iterator[list[int]]:
        """Orders within lower and lower bounds, as far as narrow fronts find any."""
        if self._problem.count > WORD:
            return
        while low < high:
            bound = (low + high) // 2
            everything = self._problem.everything
            front = Front(self._problem, bound, 0, everything, _MANY, _NARROW)
            path = front.run()
            if path is None:
                low = bound + 1
            else:
                high = bound
                yield path

    def greedy_order(self, problem: Problem, groups: list) -> tuple[tuple, int]:
        """A good order without a proof: the cheapest next task first, forwards."""
        small = self._problem
        state, live, path = 0, small.live(0), []
        while state != small.everything:
            choices = [
                (*small.step(state, live, t), t)
                for t in bits(small.everything & ~state)
                if not small.before[t] & ~state
            ]
            # Whatever frees bytes first, then the smallest transient.
            free = [c for c in choices if c[1] <= live]
            _, live, task = min(free or choices)
            state |= 1 << task
            path += groups[task]
        return tuple(path), problem.peak(path)
