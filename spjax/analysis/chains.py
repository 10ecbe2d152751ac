"""Contracts chains of tasks between which no order would ever switch.

Inside a chain (every task reads only what its predecessor wrote, and nothing else
reads that) the live bytes after the i-th task are those of one storage, v_i. Stopping
at i to run tasks elsewhere can only help at

    strict prefix minima   v_i < v_0 .. v_{i-1}, up to the least v, and
    strict suffix minima   v_i < v_{i+1} .. v_k, from there on.

Between two such stops j < i < l, both v_j and v_l are at most v_i: moving the whole
stretch from j to l to the moment at which the rest of the graph holds the fewest bytes
adds nothing to any transient. So the stretch is one task, whose transient is the
highest on it.
"""

from spjax.analysis.problem import Problem, bits


def contract(problem: Problem) -> tuple[Problem, list[list[int]]]:
    """Makes every stretch between two stops one task.

    Args:
      problem: the ordering problem.

    Returns:
      (the contracted problem, for each of its tasks the tasks that it stands for).
    """
    groups: list[list[int]] = []
    heights: list[int | None] = []
    for chain in _chains(problem):
        # The first task may read anything: it stays alone.
        groups.append(chain[:1])
        heights.append(None)
        values = [problem.sizes[problem.output[task]] for task in chain]
        stops = _stops(values)
        for start, end in zip(stops, stops[1:], strict=False):
            groups.append(chain[start + 1 : end + 1])
            heights.append(_height(problem, groups[-1], values[start]))
    ranked = sorted(range(len(groups)), key=lambda g: groups[g][-1])
    groups = [groups[g] for g in ranked]
    heights = [heights[g] for g in ranked]
    return _contracted(problem, groups, heights), groups


def _chains(problem: Problem) -> list[list[int]]:
    """The tasks as maximal chains."""
    chains: dict[int, list[int]] = {}
    for task in range(problem.count):
        before = list(bits(problem.before[task]))
        joined = False
        if len(before) == 1 and len(problem.inputs[task]) == 1:
            s = problem.inputs[task][0]
            joined = problem.readers[s] == 1 << task and not problem.kept[s]
        chain = [*chains.pop(before[0]), task] if joined else [task]
        chains[task] = chain
    return list(chains.values())


def _stops(values: list[int]) -> list[int]:
    """Positions at which stopping can help; the first and the last are among them."""
    least = min(range(len(values)), key=lambda i: values[i])
    falling = [i for i in range(least + 1) if all(v > values[i] for v in values[:i])]
    rising = [
        i
        for i in range(least, len(values))
        if all(v > values[i] for v in values[i + 1 :])
    ]
    return sorted({0, *falling, *rising, len(values) - 1})


def _height(problem: Problem, tasks: list[int], size: int) -> int:
    """Highest transient of a stretch, above the live bytes that it starts from."""
    live, highest = size, 0
    done = problem.everything & ~sum(1 << task for task in tasks)
    for task in tasks:
        # Other storages do not matter: the chain's one is all that changes.
        during, live = problem.step(done, live, task)
        done |= 1 << task
        highest = max(highest, during - size)
    return highest


def _contracted(problem: Problem, groups: list, heights: list) -> Problem:
    new = Problem.__new__(Problem)
    owner = {group[-1]: g for g, group in enumerate(groups)}
    kept = [
        s
        for s, producer in enumerate(problem.producer)
        if producer < 0 or producer in owner
    ]
    number = {s: i for i, s in enumerate(kept)}
    new.count = len(groups)
    new.names = [problem.names[s] for s in kept]
    new.sizes = [problem.sizes[s] for s in kept]
    new.kept = [problem.kept[s] for s in kept]
    new.producer = [owner.get(problem.producer[s], -1) for s in kept]
    inputs = [[number[s] for s in problem.inputs[group[0]]] for group in groups]
    outputs = [number[problem.output[group[-1]]] for group in groups]
    scratch, overlap, merged = [], [], []
    for group, height, out in zip(groups, heights, outputs, strict=True):
        if height is None:
            scratch.append(problem.scratch[group[0]])
            old = problem.overlap[group[0]]
            overlap.append({number[s]: d for s, d in old.items()})
            merged.append(problem.merged[group[0]])
        else:
            scratch.append(height - new.sizes[out])
            overlap.append({})
            merged.append(False)
    new.connect(inputs, outputs, scratch, overlap, merged)
    return new


def order_twins(problem: Problem) -> None:
    """Lets equal parallel chains advance in a fixed order, in place.

    Chains that read the same storages, have the same sizes and end in the same tasks
    can be exchanged in any order of tasks without changing a byte. So the i-th task
    of each may wait for the i-th task of the chain before it: of all orders that only
    exchange equal chains, one is left.
    """
    twins: dict[tuple, list[list[int]]] = {}
    for chain in _chains(problem):
        last = problem.output[chain[-1]]
        readers = tuple(bits(problem.readers[last]))
        key = (
            tuple(sorted(problem.inputs[chain[0]])),
            tuple(sorted(problem.overlap[chain[0]].items())),
            tuple(problem.sizes[problem.output[t]] for t in chain),
            tuple((problem.scratch[t], problem.merged[t]) for t in chain),
            tuple(tuple(problem.overlap[t].values()) for t in chain[1:]),
            tuple((r, problem.overlap[r].get(last)) for r in readers),
            problem.kept[last],
        )
        twins.setdefault(key, []).append(chain)
    for chains in twins.values():
        for first, second in zip(chains, chains[1:], strict=False):
            for a, b in zip(first, second, strict=True):
                problem.before[b] |= 1 << a
                problem.after[a] |= 1 << b
