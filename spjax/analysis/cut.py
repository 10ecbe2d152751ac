"""The downset with the fewest live bytes, by a minimum cut.

Among the downsets S between two given ones, ``live(S)`` is smallest where a network
has its minimum cut: a task on the source's side has run. A storage costs its size if
its producer has run and some reader has not; a task that has run forces its
predecessors to have run. (Picard, Management Science 1976: closures by minimum cuts.)

live is submodular, so its minimisers form a lattice: the network's two extreme
minimum cuts are the smallest and the largest of them.
"""

from spjax.analysis.problem import Problem, bits

_SOURCE, _SINK = 0, 1
_INFINITE = 1 << 60


def least_live(problem: Problem, low: int, high: int) -> tuple[int, int, int]:
    """Minimises live bytes over the downsets S with low <= S <= high.

    Args:
      problem: the ordering problem.
      low: a downset.
      high: a downset that contains it.

    Returns:
      (live bytes, smallest minimiser, largest minimiser).
    """
    free = high & ~low
    if not free:
        return problem.live(low), low, low
    node = {task: i + 2 for i, task in enumerate(bits(free))}
    network = _Network(len(node) + 2)
    for task in node:
        for other in bits(problem.before[task] & free):
            network.edge(node[task], node[other], _INFINITE)
    for s, producer in enumerate(problem.producer):
        made = producer < 0 or low >> producer & 1
        if not made and not free >> producer & 1:
            continue
        readers = problem.readers[s] & ~low
        outside = problem.kept[s] or readers & ~high
        origin = _SOURCE if made else node[producer]
        if outside:
            if not made:
                network.edge(origin, _SINK, problem.sizes[s])
        elif readers:
            middle = network.node()
            network.edge(origin, middle, problem.sizes[s])
            for task in bits(readers):
                network.edge(middle, node[task], _INFINITE)
    network.run()
    early, late = network.sides()
    smallest = largest = low
    for task, i in node.items():
        smallest |= (early[i]) << task
        largest |= (not late[i]) << task
    return problem.live(smallest), smallest, largest


class _Network:
    """Dinic's maximum flow on a small network."""

    def __init__(self, count: int):
        self._edges: list[list[int]] = [[] for _ in range(count)]
        self._to: list[int] = []
        self._room: list[int] = []

    def node(self) -> int:
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, start: int, end: int, capacity: int) -> None:
        for a, b, room in ((start, end, capacity), (end, start, 0)):
            self._edges[a].append(len(self._to))
            self._to.append(b)
            self._room.append(room)

    def run(self) -> None:
        while True:
            level = self._levels()
            if level[_SINK] < 0:
                return
            where = [0] * len(self._edges)
            while self._push(level, where):
                pass

    def _levels(self) -> list[int]:
        level = [-1] * len(self._edges)
        level[_SOURCE] = 0
        queue = [_SOURCE]
        for i in queue:
            for e in self._edges[i]:
                if self._room[e] and level[self._to[e]] < 0:
                    level[self._to[e]] = level[i] + 1
                    queue.append(self._to[e])
        return level

    def _push(self, level: list[int], where: list[int]) -> bool:
        """Sends flow along one shortest way; False if there is none left."""
        way, i = [], _SOURCE
        while i != _SINK:
            while where[i] < len(self._edges[i]):
                e = self._edges[i][where[i]]
                if self._room[e] and level[self._to[e]] == level[i] + 1:
                    break
                where[i] += 1
            else:
                if not way:
                    return False
                i = self._to[way.pop() ^ 1]
                where[i] += 1
                continue
            way.append(e)
            i = self._to[e]
        flow = min(self._room[e] for e in way)
        for e in way:
            self._room[e] -= flow
            self._room[e ^ 1] += flow
        return True

    def sides(self) -> tuple[list[bool], list[bool]]:
        """Nodes that the source reaches, and nodes that reach the sink."""
        return self._reach(_SOURCE, 0), self._reach(_SINK, 1)

    def _reach(self, start: int, backwards: int) -> list[bool]:
        seen = [False] * len(self._edges)
        seen[start] = True
        stack = [start]
        while stack:
            for e in self._edges[stack.pop()]:
                if self._room[e ^ backwards] and not seen[self._to[e]]:
                    seen[self._to[e]] = True
                    stack.append(self._to[e])
        return seen
