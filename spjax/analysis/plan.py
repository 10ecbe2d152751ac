"""A concrete memory plan: an order, buffers with lifetimes, an offset for each.

A plan is what a runtime can execute with one static array: `simulate` does. Its arena
is the model ``planned_arena``. The bytes alive at the peak of the best order, the model
``best_order``, are a lower bound for it, which it reaches more often than not.
"""

import dataclasses
from collections.abc import Iterator

from spjax.analysis.errors import AnalysisError
from spjax.analysis.order import Order, best_order, program_order
from spjax.analysis.packing import Buffer, clashes
from spjax.analysis.placement import greedy_by_size, place
from spjax.analysis.problem import Problem
from spjax.analysis.schedule import Schedule, Task

ORDERS = ("best", "program")


@dataclasses.dataclass(frozen=True)
class Plan:
    """A memory plan.

    Attributes:
      schedule: the tasks, in program order.
      steps: the tasks in order of execution.
      buffers: storages and scratches with their lifetimes in steps. A storage given
        from outside is alive from step 0, a result to the last step.
      offsets: offset in bytes of each buffer.
      shared: (output, input) -> D in bytes, by position in ``buffers``, of the pairs
        that may overlap.
      planned_arena: bytes of the array.
      best_order: bytes alive at the peak of the best order that was found (of the
        program's, if that was asked for).
      lower_bound: no plan of this schedule has a smaller arena, in any order.
      alignment: every offset and size is a multiple of it.
      order_exact: whether best_order is the smallest of all orders.
      placement_exact: whether no placement of the steps' order has a smaller arena.
    """

    schedule: Schedule
    steps: tuple[Task, ...]
    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]
    shared: dict[tuple[int, int], int]
    planned_arena: int
    best_order: int
    lower_bound: int
    alignment: int
    order_exact: bool
    placement_exact: bool

    def offset(self, name: str) -> int:
        """Offset of a storage, or of a task's scratch (``NAME/scratch``)."""
        for buffer, offset in zip(self.buffers, self.offsets, strict=True):
            if buffer.name == name:
                return offset
        raise KeyError(name)


def plan(
    schedule: Schedule, *, order: str = "best", alignment: int = 1, limit: int = 10_000
) -> Plan:
    """Plans a schedule.

    Args:
      schedule: the tasks, with what may be shared.
      order: ``best``, the order with the smallest peak, or ``program``.
      alignment: offsets and sizes are multiples of this many bytes.
      limit: partial arrangements that the search for a placement may look at.

    Returns:
      The plan, verified: no two buffers that are alive together share a byte, other
      than as the schedule allows.

    Raises:
      AnalysisError: if the order is unknown or the alignment not positive.
    """
    if order not in ORDERS:
        raise AnalysisError(f"order is '{order}'; use one of {', '.join(ORDERS)}.")
    if not isinstance(alignment, int) or alignment < 1:
        raise AnalysisError(
            f"alignment is {alignment!r}; give a whole number of bytes, 1 or more."
        )
    natural = program_order(schedule, alignment)
    best = best_order(schedule, alignment) if order == "best" else natural
    result = _placed(schedule, best, alignment, limit)
    tried = {best.tasks}
    for other in _other_orders(schedule, natural, order, alignment):
        # Another order may leave fewer gaps.
        if result.planned_arena > best.peak and other.tasks not in tried:
            tried.add(other.tasks)
            found = _placed(schedule, other, alignment, limit)
            if found.planned_arena < result.planned_arena:
                result = found
    return dataclasses.replace(
        result,
        best_order=best.peak,
        lower_bound=best.lower_bound,
        order_exact=best.exact,
    )


def _other_orders(
    schedule: Schedule, natural: Order, order: str, alignment: int
) -> Iterator[Order]:
    yield natural
    if order == "best":
        tasks = [
            dataclasses.replace(
                task, overlap=tuple(pair for pair in task.overlap if pair[1] == 0)
            )
            for task in schedule.tasks
        ]
        yield best_order(dataclasses.replace(schedule, tasks=tuple(tasks)), alignment)


def _placed(schedule: Schedule, order: Order, alignment: int, limit: int) -> Plan:
    buffers, shared = lifetimes(schedule, order, alignment)
    placed = place(buffers, shared, order.peak, limit)
    wrong = clashes(buffers, placed.offsets, shared)
    if wrong:  # a bug of ours: never hand out a plan that loses data
        raise AssertionError(f"buffers {wrong[0]} overlap")
    return Plan(
        schedule=schedule,
        steps=tuple(schedule.tasks[i] for i in order.tasks),
        buffers=tuple(buffers),
        offsets=placed.offsets,
        shared=shared,
        planned_arena=placed.arena,
        best_order=order.peak,
        lower_bound=order.lower_bound,
        alignment=alignment,
        order_exact=order.exact,
        placement_exact=placed.exact,
    )


def lifetimes(
    schedule: Schedule, order: Order, alignment: int = 1
) -> tuple[list[Buffer], dict[tuple[int, int], int]]:
    """Buffers of a schedule in an order, and the pairs that may overlap.

    Args:
      schedule: the tasks.
      order: their order.
      alignment: sizes and distances are rounded up to multiples of it.

    Returns:
      (buffers, (output, input) -> D by position).
    """
    problem = Problem(schedule, alignment)
    end = max(problem.count - 1, 0)
    step = {task: i for i, task in enumerate(order.tasks)}
    buffers, shared = [], {}
    for s, name in enumerate(problem.names):
        producer = problem.producer[s]
        first = step[producer] if producer >= 0 else 0
        reads = [step[t] for t in range(problem.count) if problem.readers[s] >> t & 1]
        last = end if problem.kept[s] else max(reads, default=first)
        unread = producer < 0 and not reads and not problem.kept[s]
        buffers.append(Buffer(name, 0 if unread else problem.sizes[s], first, last))
    for task in range(problem.count):
        out = problem.output[task]
        for s, distance in problem.overlap[task].items():
            if not problem.kept[s] and buffers[s].last == step[task]:
                shared[out, s] = min(distance, problem.sizes[out])
    for task, scratch in enumerate(problem.scratch):
        if scratch:
            name = f"{schedule.tasks[task].name}/scratch"
            if problem.merged[task]:
                shared[problem.output[task], len(buffers)] = 0
            buffers.append(Buffer(name, scratch, step[task], step[task]))
    return buffers, shared


def tflm_head(schedule: Schedule, alignment: int = 16) -> int:
    """Head of TensorFlow Lite Micro's arena for the same operations.

    Args:
      schedule: made with ``sharing="none"``.
      alignment: 16 in TFLM.

    Returns:
      Bytes of the activations in TFLM's greedy plan, in program order. The runtime's
      own structures (the tail) are not counted.
    """
    order = Order(tuple(range(len(schedule.tasks))), 0, 0, False)
    buffers, _ = lifetimes(schedule, order, alignment)
    return greedy_by_size(buffers).arena
