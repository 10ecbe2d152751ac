"""Random programs without weights, and slow but obvious ways to plan them."""

import functools
import itertools

from spjax.analysis import Operation, Program, Step, Tensor

_SUM = (
    Step("neg", ("x0",), "int8"),
    Step("add", ("%0", "x1"), "int8"),
    Step("add", ("%1", "x2"), "int8"),
)


def program(inputs, operations, outputs):
    """A program from sizes.

    Args:
      inputs: elements of each input.
      operations: (kind, numbers of the storages read, elements written); inputs are
        numbered first, then operations.
      outputs: numbers of the results.
    """
    names = [f"i{k}" for k in range(len(inputs))]
    names += [f"o{k}" for k in range(len(operations))]
    sizes = [*inputs, *(size for _, _, size in operations)]
    made = tuple(
        Operation(
            name,
            kind,
            tuple(names[s] for s in reads),
            name,
            epilogue=_SUM[: len(reads)] if kind == "elementwise" else (),
        )
        for name, (kind, reads, _) in zip(names[len(inputs) :], operations, strict=True)
    )
    tensors = {}
    for number, name in enumerate(names):
        role = "input" if number < len(inputs) else "activation"
        if number in outputs and role != "input":
            role = "output"
        tensors[name] = Tensor(
            name=name,
            shape=(1, sizes[number]),
            dtype="int8",
            role=role,
            producer=None if number < len(inputs) else name,
            readers=tuple(op.name for op in made if name in op.inputs),
        )
    return Program(
        made, tensors, tuple(names[: len(inputs)]), tuple(names[o] for o in outputs)
    )


def random_program(rng, count, span=5, most_reads=3):
    """A random graph; every other operation is elementwise on equal sizes."""
    inputs = [int(n) for n in rng.integers(1, 30, rng.integers(1, 3))]
    sizes, operations, used = list(inputs), [], set()
    for _ in range(count):
        last = len(sizes) - 1
        reads = [
            max(0, last - int(rng.integers(0, span)))
            if rng.random() < 0.8
            else int(rng.integers(0, last + 1))
            for _ in range(rng.integers(1, most_reads + 1))
        ]
        reads = list(dict.fromkeys(reads))
        if rng.random() < 0.5:
            size = max(sizes[r] for r in reads)
            reads = [r for r in reads if sizes[r] == size]
            operations.append(("elementwise", reads, size))
        else:
            operations.append(("dense", reads, int(rng.integers(1, 30))))
        used.update(reads)
        sizes.append(operations[-1][2])
    results = [n for n in range(len(inputs), len(sizes)) if n not in used]
    if rng.random() < 0.3:
        results.append(int(rng.integers(len(inputs), len(sizes))))
    return program(inputs, operations, tuple(dict.fromkeys(results)))


def branched_program(rng, branches, count, largest=400):
    """Parallel chains from one tensor to one dense layer."""
    lengths = [1] * branches
    for _ in range(count - 2 - branches):
        lengths[int(rng.integers(branches))] += 1
    operations = [("dense", [0], int(rng.integers(1 + largest // 8, largest)))]
    ends = []
    for length in lengths:
        at = 1
        for _ in range(length):
            size = int(rng.integers(1, largest))
            operations.append(("dense", [at], size))
            at = len(operations)
        ends.append(at)
    operations.append(("dense", ends, 10))
    return program(
        [int(rng.integers(1 + largest // 8, largest))], operations, (len(operations),)
    )


def _storages(prog):
    """(name, producer, names of all readers, whether a result) of every storage."""
    kept = {prog.storage(name) for name in prog.outputs}
    return [
        (
            name,
            prog.tensors[name].producer,
            {op.name for op in prog.operations if name in prog.reads(op)},
            name in kept,
        )
        for name in prog.storages
    ]


def transients(prog, order, sizes, overlaps):
    """Bytes while each operation of an order runs, straight from the definition.

    Args:
      prog: the program.
      order: names of all operations.
      sizes: bytes by storage.
      overlaps: (operation, storage) -> D, of inputs that may overlap if they die.
    """
    storages, result = _storages(prog), []
    for i, name in enumerate(order):
        done, later = set(order[:i]), set(order[i + 1 :])
        alive, dying = 0, []
        out = sizes[prog.operation(name).output]
        for storage, producer, readers, kept in storages:
            exists = producer is None or producer in done
            if not exists or not (kept or readers - done):
                continue
            dies = not kept and not readers & later
            if dies and (name, storage) in overlaps:
                distance = min(out, overlaps[name, storage])
                dying.append((distance, sizes[storage]))
            else:
                alive += sizes[storage]
        best = None
        for arrangement in itertools.permutations(dying):
            top = 0
            for distance, size in arrangement:
                top = max(top, distance) + size
            best = top if best is None else min(best, top)
        result.append(alive + max(out, best or 0))
    return result


def orders(prog):
    """All topological orders."""
    reads = {
        op.name: {
            prog.tensors[s].producer for s in op.inputs if prog.tensors[s].producer
        }
        for op in prog.operations
    }

    def extend(order):
        if len(order) == len(reads):
            yield tuple(order)
        for name in reads:
            if name not in order and reads[name] <= set(order):
                yield from extend([*order, name])

    return extend([])


def least_peak(prog, sizes, overlaps):
    """Smallest peak over all orders, by recursion over sets of operations done."""
    reads = {
        op.name: frozenset(
            prog.tensors[s].producer for s in op.inputs if prog.tensors[s].producer
        )
        for op in prog.operations
    }

    @functools.cache
    def best(done):
        rest = set(reads) - done
        if not rest:
            return 0
        result = None
        for name in sorted(rest):
            if not reads[name] <= done:
                continue
            order = [*sorted(done), name, *sorted(rest - {name})]
            here = transients(prog, order, sizes, overlaps)[len(done)]
            peak = max(here, best(done | {name}))
            result = peak if result is None else min(result, peak)
        return result

    return best(frozenset())
