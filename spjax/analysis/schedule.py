"""Schedules: which operations run together, and what they keep in memory meanwhile.

A *task* reads whole storages and writes one; what is between its operations never
exists as a whole. The plain schedule has one task per operation.

How a task's output may use the memory of an input that dies in it is the *sharing*::

    none      not at all
    in_place  elementwise functions (so also additions), global reductions, and
              poolings whose windows do not overlap may start on a dying input
    overlap   any operation may, down to the exact bound of `spjax.analysis.overlap`
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from spjax.analysis.errors import AnalysisError
from spjax.analysis.overlap import IN_PLACE_KINDS, overlap_bound
from spjax.analysis.program import Operation, Program

SHARINGS = ("none", "in_place", "overlap")


@dataclasses.dataclass(frozen=True)
class Stream:
    """How a chain is streamed.

    Attributes:
      units: operation names by unit.
      rings: pixels of the ring after each unit but the last one (after each unit, if
        the chain ends in accumulators).
      offsets: bytes from the start of the scratch to each ring.
      accumulate: name of the dense layer or reduction that ends the chain, or None.
      accumulators: bytes from the start of the scratch to its accumulators.
    """

    units: tuple[tuple[str, ...], ...]
    rings: tuple[int, ...]
    offsets: tuple[int, ...]
    accumulate: str | None = None
    accumulators: int = 0


@dataclasses.dataclass(frozen=True)
class Planes:
    """How a chain is run one channel at a time.

    Attributes:
      offsets: bytes from the start of the scratch to the plane after each operation
        but the last one.
    """

    offsets: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Task:
    """One or more operations that run as one.

    Attributes:
      name: name of its last operation.
      operations: names of its operations, in order.
      mode: ``whole``, ``fused`` (a pooling formed in registers), ``row_buffer`` (in
        place, with a ring of input rows), ``rows`` or ``channels``.
      reads: distinct storages that it reads.
      output: storage that it writes.
      overlap: (storage, D) pairs: if that input dies in this task, it may start D
        bytes or more after the output's start; without a pair, it may not overlap.
      scratch: bytes that it needs for itself while it runs.
      scratch_becomes_output: whether the scratch ends as accumulators, which the
        output may be written over.
      extra_macs: multiply-accumulates that it repeats.
      stream: details of the modes ``fused``, ``row_buffer`` and ``rows``.
      planes: details of the mode ``channels``.
    """

    name: str
    operations: tuple[str, ...]
    mode: str
    reads: tuple[str, ...]
    output: str
    overlap: tuple[tuple[str, int], ...] = ()
    scratch: int = 0
    scratch_becomes_output: bool = False
    extra_macs: int = 0
    stream: Stream | None = None
    planes: Planes | None = None


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A program as tasks.

    Attributes:
      program: the program.
      tasks: in program order.
      sizes: bytes of every storage that exists as a whole; 0 for one that lies
        outside of working memory.
      bytes_per_element: bytes of one element; None for those of the traced types.
      sharing: one of `SHARINGS`.
    """

    program: Program
    tasks: tuple[Task, ...]
    sizes: Mapping[str, int]
    bytes_per_element: int | None
    sharing: str

    @property
    def extra_macs(self) -> int:
        """Multiply-accumulates that are computed more than once."""
        return sum(task.extra_macs for task in self.tasks)


def whole(
    program: Program,
    *,
    sharing: str = "in_place",
    bytes_per_element: int | None = 1,
    count_input: bool = True,
) -> Schedule:
    """The schedule with one task per operation.

    Args:
      program: the program.
      sharing: one of `SHARINGS`.
      bytes_per_element: bytes of one element on the target; None for those of the
        traced types.
      count_input: whether the program's inputs take up working memory.

    Returns:
      The schedule, in program order.

    Raises:
      AnalysisError: if sharing is unknown or bytes_per_element is not positive.
    """
    check_sharing(sharing)
    sizes = tensor_bytes(program, bytes_per_element, count_input)
    tasks = tuple(
        Task(
            name=op.name,
            operations=(op.name,),
            mode="whole",
            reads=program.reads(op),
            output=op.output,
            overlap=shared(program, op, sharing, sizes),
        )
        for op in program.operations
    )
    return Schedule(program, tasks, sizes, bytes_per_element, sharing)


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


def check_sharing(sharing: str) -> None:
    """Refuses an unknown sharing.

    Raises:
      AnalysisError: if it is not one of `SHARINGS`.
    """
    if sharing not in SHARINGS:
        raise AnalysisError(
            f"sharing is '{sharing}'; use one of {', '.join(SHARINGS)}."
        )


def shared(
    program: Program, operation: Operation, sharing: str, sizes: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    """The (storage, D) pairs of one operation under a sharing.

    Args:
      program: the program.
      operation: the operation.
      sharing: one of `SHARINGS`.
      sizes: bytes by storage; storages of no bytes cannot be shared.

    Returns:
      Pairs whose D lies between 0 and the output's size, both included or excluded
      as it makes sense: a D of the whole output would share nothing and is left out.
    """
    if sharing == "none":
        return ()
    if sharing == "in_place" and operation.kind not in IN_PLACE_KINDS:
        return ()
    out = sizes[operation.output]
    pairs = []
    for storage in program.reads(operation):
        if not sizes[storage]:
            continue
        bytes_in = sizes[storage] // program.tensors[storage].elements
        bytes_out = out // program.tensors[operation.output].elements
        distance = overlap_bound(program, operation, storage, bytes_in, bytes_out)
        if distance <= 0 or (sharing == "overlap" and distance < out):
            pairs.append((storage, max(0, distance)))
    return tuple(pairs)
