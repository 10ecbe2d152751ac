"""The dataflow graph that the analyser works on: frozen types, free of JAX.

A `Program` is what an integer runtime would execute for one image: a sequence of
operations, each of which reads whole activation tensors and writes one. Bias, batch
normalisation, activation functions and requantisation are already part of the
operation that produces their argument; a reshape is a second name of one storage.

Names::

    tensor     one activation, batch included: (1, height, width, channels)
    view       a tensor with the storage of another one (``alias_of``)
    storage    a tensor that is nobody's view: what takes up bytes
    weight     an array that depends on parameters and constants only, after folding
    step       one elementwise function applied to an operation's raw result
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

ROLES = ("input", "activation", "output")


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An activation tensor.

    Attributes:
      name: unique in the program.
      shape: dimensions, the batch of 1 included.
      dtype: element type in the traced function, e.g. ``float32``. How many bytes
        an element takes on the target is an argument of every memory model.
      role: ``input``, ``activation`` or ``output`` (an output of the program).
      producer: name of the operation that writes it; None for an input.
      readers: names of the operations that read it under this name.
      alias_of: the storage that it is a view of; None if it has its own.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: str
    producer: str | None
    readers: tuple[str, ...]
    alias_of: str | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Weight:
    """A folded parameter array of one operation.

    Attributes:
      name: ``<operation>/<role>``, e.g. ``block0_conv1/kernel``.
      shape: dimensions after folding.
      dtype: element type after folding.
      nonzero: number of elements that are not exactly zero; None where parameters
        were given as shapes only.
      parameters: paths of the parameters that it was folded from, sorted.
      values: the array, read-only; None where parameters were given as shapes only.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nonzero: int | None
    parameters: tuple[str, ...]
    values: np.ndarray | None = dataclasses.field(
        default=None, repr=False, compare=False
    )

    @property
    def elements(self) -> int:
        """Number of elements, zeros included."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Step:
    """One elementwise function of an operation's epilogue.

    Attributes:
      function: its name, as in `spjax.analysis.elementwise.FUNCTIONS`.
      operands: what it is applied to, in order: ``"x"`` is the raw result, ``"x0"``,
        ``"x1"``, .. the tensors read by an elementwise operation, ``"%k"`` the result
        of step k, ``"w:NAME"`` the weight of that name; a number stands for itself.
      dtype: element type of the result.
      attributes: further arguments, as (name, value) pairs.
    """

    function: str
    operands: tuple[str | float | int | bool, ...]
    dtype: str
    attributes: tuple[tuple[str, object], ...] = ()


@dataclasses.dataclass(frozen=True)
class Operation:
    """One step of the runtime: reads whole tensors, writes one.

    Attributes:
      name: unique in the program; from its parameters' path where it has any.
      kind: one of `KINDS`.
      inputs: names of the tensors (or views) that it reads.
      output: name of the tensor that it writes.
      attributes: geometry, as sorted (name, value) pairs; see `KINDS`.
      weights: its folded parameters.
      prologue: elementwise steps on every element that it loads (a cast, a zero
        point); ``"x0"`` is the element.
      epilogue: elementwise steps on the raw result; the last one is the output.
      macs: multiply-accumulates, zeros and padding included.
      source: ``file:line`` in the traced function, if known.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: tuple[tuple[str, object], ...] = ()
    weights: tuple[Weight, ...] = ()
    prologue: tuple[Step, ...] = ()
    epilogue: tuple[Step, ...] = ()
    macs: int = 0
    source: str = dataclasses.field(default="", compare=False)

    def attribute(self, name: str) -> object:
        """The value of one attribute.

        Raises:
          KeyError: if the operation has no such attribute.
        """
        return dict(self.attributes)[name]

    def weight(self, role: str) -> Weight | None:
        """The weight ``<name>/<role>``, or None."""
        return next((w for w in self.weights if w.name == f"{self.name}/{role}"), None)

    @property
    def function(self) -> str:
        """The kind, or for an elementwise operation the function it starts with."""
        return self.epilogue[0].function if self.kind == "elementwise" else self.kind

    @property
    def fused(self) -> str:
        """What is fused into it, in words, e.g. ``bias relu``."""
        words = ["bias"] if self.weight("bias") else []
        steps = self.epilogue[1:] if self.kind == "elementwise" else self.epilogue
        for step in steps:
            relu = step.function == "max" and 0 in step.operands
            words.append("relu" if relu else step.function)
        return " ".join(words)


KINDS = {
    "conv2d": "kernel (kh, kw, in/groups, out); attributes strides, padding, groups,"
    " dilation",
    "dense": "kernel (in, out) on the flattened input",
    "max_pool": "attributes window, strides, padding",
    "average_pool": "as max_pool; and count_padding: padded elements count as zeros",
    "sum_pool": "as max_pool, without the division",
    "reduce": "attributes function (sum, mean, max, min, argmax) and axes",
    "concatenate": "attribute axis",
    "pad": "attributes padding, value",
    "slice": "attributes start, limit, strides",
    "transpose": "attribute permutation",
    "broadcast": "attribute shape",
    "softmax": "attributes axis, log",
    "elementwise": "the epilogue is applied to the inputs x0, x1, ..",
}


@dataclasses.dataclass(frozen=True)
class Program:
    """An inference function as a sequence of operations.

    Attributes:
      operations: in the order in which the traced function computes them.
      tensors: every activation tensor and view by name.
      inputs: names of the tensors given from outside.
      outputs: names of the tensors (or views) that are the result.
      unused: paths of parameters that reach no output, sorted.
    """

    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unused: tuple[str, ...] = ()

    def storage(self, name: str) -> str:
        """The storage behind a tensor or a view."""
        return self.tensors[name].alias_of or name

    @property
    def storages(self) -> tuple[str, ...]:
        """Names of all tensors that are nobody's view, in order of appearance."""
        return tuple(n for n, t in self.tensors.items() if t.alias_of is None)

    def reads(self, operation: Operation) -> tuple[str, ...]:
        """Distinct storages that an operation reads, in order."""
        return tuple(dict.fromkeys(self.storage(name) for name in operation.inputs))

    def operation(self, name: str) -> Operation:
        """The operation of that name.

        Raises:
          KeyError: if there is none.
        """
        for operation in self.operations:
            if operation.name == name:
                return operation
        raise KeyError(name)

    def structure(self) -> "Program":
        """The same program with names by position, without values and their paths.

        Two functions that compute the same thing with differently named modules
        have equal structures.
        """
        return _rename(self)


def _rename(program: Program) -> Program:
    names = {name: f"in{i}" for i, name in enumerate(program.inputs)}
    for i, operation in enumerate(program.operations):
        names[operation.output] = f"t{i}"
    for name, tensor in program.tensors.items():
        if tensor.alias_of is not None:
            shape = "x".join(map(str, tensor.shape))
            names[name] = f"{names[tensor.alias_of]}@{shape}"
    ops = {op.name: f"op{i}" for i, op in enumerate(program.operations)}

    def renamed(operation: Operation) -> Operation:
        new = ops[operation.name]

        def weight_name(name: str) -> str:
            return f"{new}/{name.rsplit('/', 1)[1]}"

        def operand(value: object) -> object:
            if isinstance(value, str) and value.startswith("w:"):
                return "w:" + weight_name(value[2:])
            return value

        def steps(given: tuple[Step, ...]) -> tuple[Step, ...]:
            return tuple(
                dataclasses.replace(s, operands=tuple(operand(o) for o in s.operands))
                for s in given
            )

        return dataclasses.replace(
            operation,
            name=new,
            inputs=tuple(names[n] for n in operation.inputs),
            output=names[operation.output],
            weights=tuple(
                dataclasses.replace(
                    w,
                    name=weight_name(w.name),
                    nonzero=None,
                    parameters=(),
                    values=None,
                )
                for w in operation.weights
            ),
            prologue=steps(operation.prologue),
            epilogue=steps(operation.epilogue),
        )

    return Program(
        operations=tuple(renamed(op) for op in program.operations),
        tensors={
            names[name]: dataclasses.replace(
                tensor,
                name=names[name],
                producer=tensor.producer and ops[tensor.producer],
                readers=tuple(ops[r] for r in tensor.readers),
                alias_of=tensor.alias_of and names[tensor.alias_of],
            )
            for name, tensor in program.tensors.items()
        },
        inputs=tuple(names[n] for n in program.inputs),
        outputs=tuple(names[n] for n in program.outputs),
    )
