"""Memory models: what an operation keeps in working memory, in bytes.

For an operation that reads the distinct storages X and writes y::

    input_output   sum of X + y                       (SpArSe, Fedorov et al. 2019)
    input_weights  sum of X + nonzero weights          (the same; weights in RAM)
    live_bytes     y + all storages that exist already and that this operation, a
                   later one or the result still needs, in program order

The peak of a model is its maximum over operations. What counts::

    activations    every element, ``bytes_per_element`` bytes each, zeros included
    weights        elements that are not exactly zero; their indices are not counted
    fused          bias, batch norm, activation, requantisation: part of their producer
    layers         everything else: a pooling, a residual addition (both operands and
                   the sum), a concatenation (all parts and the whole), a softmax
    free           reshapes
    shared         a weight that several operations use counts once in a model's size
"""

from collections.abc import Iterable, Mapping

import numpy as np

from spjax.analysis.problem import Problem
from spjax.analysis.program import Program, Weight
from spjax.analysis.schedule import Schedule


def input_output(schedule: Schedule) -> dict[str, int]:
    """Inputs plus output of every task, in program order.

    Args:
      schedule: the tasks, with their sizes and what they may share: an input that
        dies in a task and may be overlapped by its output counts once.

    Returns:
      task name -> bytes.
    """
    problem, done, result = Problem(schedule), 0, {}
    for number, task in enumerate(schedule.tasks):
        dying = problem.dying(done, number)
        shared = [s for s in dying if s in problem.overlap[number]]
        apart = [s for s in problem.inputs[number] if s not in shared]
        result[task.name] = problem.extent(number, shared)
        result[task.name] += sum(problem.sizes[s] for s in apart)
        done |= 1 << number
    return result


def input_weights(schedule: Schedule, weights: Mapping[str, int]) -> dict[str, int]:
    """Inputs plus nonzero weights of every task.

    Args:
      schedule: the tasks, with their sizes.
      weights: bytes of nonzero weights by operation, from `weight_bytes`.

    Returns:
      task name -> bytes.
    """
    return {
        task.name: sum(schedule.sizes[name] for name in task.reads)
        + sum(weights[name] for name in task.operations)
        for task in schedule.tasks
    }


def live_bytes(schedule: Schedule) -> dict[str, int]:
    """Bytes that are alive while each task runs, in program order.

    Args:
      schedule: the tasks, with their sizes and what they may share.

    Returns:
      task name -> bytes.
    """
    problem = Problem(schedule)
    steps = problem.transients(range(problem.count))
    return {t.name: n for t, n in zip(schedule.tasks, steps, strict=True)}


def nonzeros(weight: Weight, sparsity: Mapping[str, float] | None = None) -> int:
    """Elements of a weight that are not zero.

    Args:
      weight: the weight.
      sparsity: share of zeros by weight name (``conv1/kernel``) or operation name
        (``conv1``, its kernel). It comes before the counted zeros.

    Returns:
      The count; all elements where values are unknown and no sparsity is given.
    """
    operation, role = weight.name.rsplit("/", 1)
    for key in (weight.name, operation if role == "kernel" else None):
        if sparsity and key in sparsity:
            return weight.elements - round(sparsity[key] * weight.elements)
    return weight.elements if weight.nonzero is None else weight.nonzero


def weight_bytes(
    weights: Iterable[Weight],
    bytes_per_element: int | None = 1,
    sparsity: Mapping[str, float] | None = None,
) -> tuple[int, int]:
    """Bytes of some weights.

    Args:
      weights: the weights.
      bytes_per_element: bytes of one weight on the target; None for those of its
        own type.
      sparsity: as in `nonzeros`.

    Returns:
      (nonzero values only, indices not counted; all values).
    """
    sparse = dense = 0
    for weight in weights:
        size = bytes_per_element or np.dtype(weight.dtype).itemsize
        sparse += size * nonzeros(weight, sparsity)
        dense += size * weight.elements
    return sparse, dense


def distinct_weights(program: Program) -> tuple[Weight, ...]:
    """The weights of all operations; one that several operations share comes once."""
    kept: list[Weight] = []
    groups: dict[tuple, list[Weight]] = {}
    for operation in program.operations:
        for weight in operation.weights:
            key = (weight.parameters, weight.shape, weight.dtype, weight.nonzero)
            group = groups.setdefault(key, [])
            if not weight.parameters or not any(_same(weight, w) for w in group):
                group.append(weight)
                kept.append(weight)
    return tuple(kept)


def _same(a: Weight, b: Weight) -> bool:
    return a.values is None or bool(np.array_equal(a.values, b.values))
