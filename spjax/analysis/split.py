"""Schedules that stream: which parts of a program's chains run whole and which not.

A chain is a maximal sequence of operations each of which alone reads what the one
before it writes. For every stretch of a chain there are tasks that run it: whole (one
operation), in place with a row buffer (one convolution), fused (a convolution and a
pooling), by rows (with each pooling fused or not, and the end accumulated or not) or
by channels. In a chain one map is alive
between two tasks, so the arena of a division is the largest need of its tasks, and the
best division comes from dynamic programming over the chain's positions; among equals,
the one that streams fewer operations.
"""

import dataclasses
import itertools
from collections.abc import Iterable

from spjax.analysis import channels, stream
from spjax.analysis.errors import AnalysisError
from spjax.analysis.program import Operation, Program
from spjax.analysis.schedule import Schedule, Task, whole

MODES = ("fused", "row_buffer", "rows", "channels")

Cost = tuple[int, int, int]


def fused(
    program: Program,
    *,
    sharing: str = "in_place",
    bytes_per_element: int | None = 1,
    count_input: bool = True,
) -> Schedule:
    """Fuses every pooling into the convolution that it alone reads.

    Only where its windows do not overlap, so that nothing is computed twice.

    Args:
      program: the program.
      sharing: as in `spjax.analysis.schedule.whole`.
      bytes_per_element: as there.
      count_input: as there.

    Returns:
      The schedule.
    """
    plain = whole(
        program,
        sharing=sharing,
        bytes_per_element=bytes_per_element,
        count_input=count_input,
    )
    pooled = {}
    for chain in _chains(program):
        for a, b in itertools.pairwise(chain):
            first, pool = program.operation(a), program.operation(b)
            if first.kind != "conv2d" or pool.kind not in stream.POOLS:
                continue
            task = _streamed(plain, [[a, b]], None)
            if not task.extra_macs:
                pooled[a] = task
    return _replaced(plain, pooled)


def streamed(
    program: Program,
    *,
    sharing: str = "overlap",
    bytes_per_element: int | None = 1,
    count_input: bool = True,
    modes: Iterable[str] = MODES,
    recompute: bool = False,
    input_rows: bool = False,
) -> Schedule:
    """Divides every chain so that its largest need is as small as possible.

    Args:
      program: the program.
      sharing: as in `spjax.analysis.schedule.whole`.
      bytes_per_element: as there.
      count_input: as there.
      modes: what is allowed beside ``whole``.
      recompute: whether tasks may repeat multiply-accumulates (``extra_macs``): a
        pooling in registers whose windows overlap.
      input_rows: whether the input is never in memory (0 bytes, whatever
        ``count_input`` says) but arrives once, pixel by pixel in memory order. The
        task that reads it is of mode ``rows`` then, and its first unit is empty.

    Returns:
      The schedule.

    Raises:
      AnalysisError: if a mode is unknown, or the input cannot be taken as it arrives.
    """
    unknown = set(modes) - set(MODES)
    if unknown:
        raise AnalysisError(
            f"mode '{min(unknown)}' is unknown; use some of {', '.join(MODES)}."
        )
    plain = whole(
        program,
        sharing=sharing,
        bytes_per_element=bytes_per_element,
        count_input=count_input and not input_rows,
    )
    first = _only_reader(program) if input_rows else None
    chosen = {}
    for chain in _chains(program):
        arrives = chain[0] == first
        for task in _divide(plain, chain, frozenset(modes), recompute, arrives):
            chosen[task.operations[0]] = task
    return _replaced(plain, chosen)


def need(schedule: Schedule, task: Task) -> int:
    """Bytes of a task alone: its inputs, output and scratch, tightest arrangement.

    Args:
      schedule: the schedule that it belongs to.
      task: the task.

    Returns:
      The bytes; an input that is read again later is not overlapped.
    """
    program = schedule.program
    distances = dict(task.overlap)
    out = schedule.sizes[task.output]
    apart, top = 0, task.scratch if task.scratch_becomes_output else 0
    inside = set(task.operations)
    results = {program.storage(name) for name in program.outputs}
    for storage in sorted(task.reads, key=lambda s: distances.get(s, 0)):
        dies = storage not in results and _readers(program, storage) <= inside
        if dies and storage in distances:
            top = max(top, min(distances[storage], out)) + schedule.sizes[storage]
        else:
            apart += schedule.sizes[storage]
    scratch = 0 if task.scratch_becomes_output else task.scratch
    return max(out, top) + apart + scratch


def _only_reader(program: Program) -> str:
    """Name of the operation that takes the input as it arrives."""
    readers = [_readers(program, name) for name in program.inputs]
    results = {program.storage(name) for name in program.outputs}
    if len(readers) != 1 or len(readers[0]) != 1 or results & set(program.inputs):
        raise AnalysisError(
            "input_rows needs one input that one operation reads, but it is read by"
            f" {', '.join(sorted(set().union(*readers))) or 'none'}; keep the input in"
            " memory."
        )
    return min(readers[0])


def _readers(program: Program, storage: str) -> set[str]:
    return {op.name for op in program.operations if storage in program.reads(op)}


def _chains(program: Program) -> list[list[str]]:
    """Maximal chains of operations, by name."""
    results = {program.storage(name) for name in program.outputs}
    readers: dict[str, list[str]] = {}
    for op in program.operations:
        for storage in program.reads(op):
            readers.setdefault(storage, []).append(op.name)
    chains: dict[str, list[str]] = {}
    for op in program.operations:
        reads = program.reads(op)
        producer = program.tensors[reads[0]].producer if len(reads) == 1 else None
        alone = producer in chains and len(readers[reads[0]]) == 1
        if alone and reads[0] not in results:
            chains[op.name] = [*chains.pop(producer), op.name]
        else:
            chains[op.name] = [op.name]
    return list(chains.values())


def _replaced(plain: Schedule, chosen: dict[str, Task]) -> Schedule:
    """A schedule with some tasks, by first operation, in place of single ones."""
    covered = {name for task in chosen.values() for name in task.operations}
    tasks = []
    for task in plain.tasks:
        if task.name in chosen:
            tasks.append(chosen[task.name])
        elif task.name not in covered:
            tasks.append(task)
    kept = {task.output for task in tasks} | set(plain.program.inputs)
    sizes = {name: size for name, size in plain.sizes.items() if name in kept}
    return dataclasses.replace(plain, tasks=tuple(tasks), sizes=sizes)


def _streamed(plain: Schedule, units: list[list[str]], accumulate: str | None) -> Task:
    return stream.stream_task(
        plain.program, units, accumulate, plain.sizes, plain.bytes_per_element,
        plain.sharing,
    )  # fmt: skip


def _divide(
    plain: Schedule,
    chain: list[str],
    modes: frozenset[str],
    recompute: bool,
    arrives: bool,
) -> list[Task]:
    """The best division of one chain."""
    single = {task.name: task for task in plain.tasks}
    best: list[tuple[Cost, list[Task]] | None] = [((0, 0, 0), [])]
    for end in range(1, len(chain) + 1):
        options = []
        for start in range(end):
            if best[start] is None:
                continue
            names, copied = chain[start:end], arrives and start == 0
            for task in _tasks(plain, names, single, modes, copied):
                if task.extra_macs and not recompute:
                    continue
                (peak, extra, streamed_), tasks = best[start]
                cost = (
                    max(peak, need(plain, task)),
                    extra + task.extra_macs,
                    streamed_ + (len(task.operations) if task.mode != "whole" else 0),
                )
                options.append((cost, [*tasks, task]))
        best.append(min(options, key=lambda option: option[0], default=None))
    if best[-1] is None:
        kind = plain.program.operation(chain[0]).kind
        raise AnalysisError(
            f"input_rows: '{chain[0]}' ({kind}) cannot take the input as it arrives;"
            " keep the input in memory."
        )
    return best[-1][1]


def _tasks(
    plain: Schedule,
    names: list[str],
    single: dict,
    modes: frozenset[str],
    copied: bool = False,
) -> Iterable[Task]:
    """All ways to run a stretch of a chain as one task.

    If it is copied from an input that arrives pixel by pixel, by rows only.
    """
    operations = [plain.program.operation(name) for name in names]
    if copied:
        for units, accumulate in _cuts(plain.program, operations):
            yield _streamed(plain, [[], *units], accumulate)
        return
    if len(names) == 1:
        yield single[names[0]]
        if "row_buffer" in modes and operations[0].kind == "conv2d":
            if plain.sharing != "none":
                yield _streamed(plain, [[], names], None)
    if len(names) > 1 and "channels" in modes and _by_channels(plain, operations):
        yield channels.channel_task(
            plain.program, names, plain.sizes, plain.bytes_per_element, plain.sharing
        )
    if len(names) == 1:
        return
    for units, accumulate in _cuts(plain.program, operations):
        count = len(units) + (accumulate is not None)
        if units and ("rows" in modes or count == 1 and "fused" in modes):
            yield _streamed(plain, units, accumulate)


def _cuts(
    program: Program, operations: list[Operation]
) -> Iterable[tuple[list[list[str]], str | None]]:
    """All ways to cut operations into units, the last one perhaps accumulated."""
    if all(stream.can_stream(program, op) for op in operations):
        for units in _units(operations):
            yield units, None
    *rest, last = operations
    if stream.can_accumulate(program, last):
        if all(stream.can_stream(program, op) for op in rest):
            for units in _units(rest) if rest else [[]]:
                yield units, last.name


def _by_channels(plain: Schedule, operations: list[Operation]) -> bool:
    program = plain.program
    return channels.can_start(program, operations[0]) and all(
        channels.can_follow(program, op)
        and (op.kind != "reduce" or op is operations[-1])
        for op in operations[1:]
    )


def _units(operations: list[Operation]) -> list[list[list[str]]]:
    """All ways to cut operations into units: poolings may join the unit before."""
    joins = [
        (op.kind == "elementwise",) if op.kind not in stream.POOLS else (True, False)
        for op in operations[1:]
    ]
    ways = []
    for choice in itertools.product(*joins):
        units, pooled = [[operations[0].name]], operations[0].kind in stream.POOLS
        possible = True
        for op, join in zip(operations[1:], choice, strict=True):
            is_pool = op.kind in stream.POOLS
            if join and is_pool and pooled:
                possible = False  # one pooling in registers is enough
            if join:
                units[-1].append(op.name)
                pooled = pooled or is_pool
            else:
                units.append([op.name])
                pooled = is_pool
        if possible:
            ways.append(units)
    return ways
