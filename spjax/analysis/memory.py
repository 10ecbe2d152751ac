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

from spjax.analysis.errors import AnalysisError
from spjax.analysis.program import Program, Weight


def tensor_bytes(
    program: Program, bytes_per_element: int | None = 1, count_input: bool = True
) -> dict[str, int]:
    """Bytes of every storage.

    Args:
      program: the program.
      bytes_per_element: bytes of one activation element on the target; None for
        those of the types that the function was traced with.
      count_input: whether the program's inputs take up working memory. If not (they
        lie in flash, or in a camera's buffer), they count 0 bytes.

    Returns:
      storage name -> bytes.

    Raises:
      AnalysisError: if bytes_per_element is not a positive whole number.
    """
    check_bytes(bytes_per_element)
    result = {}
    for name in program.storages:
        tensor = program.tensors[name]
        size = bytes_per_element or np.dtype(tensor.dtype).itemsize
        outside = tensor.role == "input" and not count_input
        result[name] = 0 if outside else tensor.elements * size
    return result


def check_bytes(bytes_per_element: int | None) -> None:
    """Refuses a number of bytes that is not positive and whole.

    Raises:
      AnalysisError: if it is neither that nor None.
    """
    whole = isinstance(bytes_per_element, int | np.integer)
    if bytes_per_element is not None and (not whole or bytes_per_element < 1):
        raise AnalysisError(
            f"bytes_per_element is {bytes_per_element!r}; give a whole number of bytes,"
            " 1 or more, or None for those of the traced types."
        )


def input_output(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """Inputs plus output of every operation.

    Args:
      program: the program.
      sizes: bytes by storage, from `tensor_bytes`.

    Returns:
      operation name -> bytes.
    """
    return {
        op.name: sum(sizes[n] for n in program.reads(op)) + sizes[op.output]
        for op in program.operations
    }


def input_weights(
    program: Program, sizes: Mapping[str, int], weights: Mapping[str, int]
) -> dict[str, int]:
    """Inputs plus nonzero weights of every operation.

    Args:
      program: the program.
      sizes: bytes by storage, from `tensor_bytes`.
      weights: bytes of nonzero weights by operation, from `weight_bytes`.

    Returns:
      operation name -> bytes.
    """
    return {
        op.name: sum(sizes[n] for n in program.reads(op)) + weights[op.name]
        for op in program.operations
    }


def live_bytes(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """Bytes that are alive while each operation runs, in program order.

    Args:
      program: the program.
      sizes: bytes by storage, from `tensor_bytes`.

    Returns:
      operation name -> bytes.
    """
    last = last_reads(program)
    alive = {program.storage(n) for n in program.inputs}
    result = {}
    for i, op in enumerate(program.operations):
        alive.add(op.output)
        result[op.name] = sum(sizes[n] for n in alive)
        alive = {n for n in alive if last[n] > i}
    return result


def last_reads(program: Program) -> dict[str, int]:
    """Position of the last operation that needs each storage, in program order.

    A result of the program is needed to the end: its position is the number of
    operations. A storage that nothing reads is needed by its producer only (and an
    unread input not at all: -1).
    """
    last = {}
    for i, op in enumerate(program.operations):
        last[op.output] = i
    for name in program.storages:
        last.setdefault(name, -1)
    for i, op in enumerate(program.operations):
        for name in program.reads(op):
            last[name] = max(last[name], i)
    for name in program.outputs:
        last[program.storage(name)] = len(program.operations)
    return last


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
