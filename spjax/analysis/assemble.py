"""Names operations, tensors and weights, and assembles the `Program`."""

import dataclasses
import re

import numpy as np

from spjax.analysis.affine import Run, affine_run
from spjax.analysis.averages import average
from spjax.analysis.drafts import Draft, Drafting, kernel_array
from spjax.analysis.program import Operation, Program, Step, Tensor, Weight
from spjax.analysis.regions import Fused

_KERNELS = ("conv2d", "dense")
_FUNCTION_NAMES = {"mul": "multiply", "sub": "subtract", "div": "divide"}
_COLLECTIONS = ("params", "batch_stats", "constants", "intermediates")


class Assembly:
    """Collects operations in program order."""

    def __init__(self, drafting: Drafting):
        self._drafting = drafting
        self._operations: list[Operation] = []
        self._storage: dict[int, Tensor] = {}  # root value -> its tensor
        self._views: dict[str, Tensor] = {}
        self._names: set[str] = set()
        inputs = drafting.flat.inputs
        for i, number in enumerate(inputs):
            name = "input" if len(inputs) == 1 else f"input_{i}"
            value = drafting.flat.values[number]
            self._storage[number] = Tensor(
                name, value.shape, value.dtype, "input", None, ()
            )
        self._names.update(t.name for t in self._storage.values())

    def add(self, fused: Fused) -> None:
        """Adds one operation."""
        drafting, draft = self._drafting, fused.draft
        steps = fused.steps
        if draft is not None and draft.kind == "elementwise":
            # Several activations: x0, x1, ..
            steps = (*fused.prologue, draft, *steps)
        inputs = fused.reads
        kind = draft.kind if draft is not None else "elementwise"
        attributes = dict(draft.attributes) if kind != "elementwise" else {}
        shape = drafting.shape(fused.output if draft is None else draft.output)
        names = {drafting.root(fused.source): "x"}
        if mean := draft and average(drafting, draft, steps):
            names[steps[0].output] = "x"
            steps = steps[1:]
            kind, attributes = mean
        name = self._unique(self._wanted_name(kind, draft, attributes, steps))
        value = drafting.flat.values[fused.output]
        merge = np.issubdtype(value.dtype, np.floating)
        building = _Building(drafting, name, shape, merge)
        if kind == "elementwise":
            names = {drafting.root(n): f"x{i}" for i, n in enumerate(inputs)}
        elif kind in _KERNELS:
            run = affine_run(drafting, steps, fused.source, shape)
            building.kernel(draft, run)
            if run.length:
                names[steps[run.length - 1].output] = "x"
                steps = steps[run.length :]
        if kind != "elementwise" and fused.prologue:
            building.prologue(fused.prologue, {drafting.root(inputs[0]): "x0"})
        building.epilogue(steps, names)
        self._storage[fused.output] = Tensor(
            name, shape, value.dtype, "activation", name, ()
        )
        self._operations.append(
            Operation(
                name=name,
                kind=kind,
                inputs=tuple(self._view(n) for n in inputs),
                output=name,
                attributes=tuple(sorted(attributes.items())),
                weights=tuple(building.weights),
                prologue=tuple(building.loads),
                epilogue=tuple(building.steps),
                macs=draft.macs if draft is not None else 0,
                source=(draft or steps[0]).source,
            )
        )

    def program(self) -> Program:
        """The program of everything that was added."""
        flat = self._drafting.flat
        outputs = tuple(self._view(n) for n in flat.outputs)
        roots = {self._storage[self._drafting.root(n)].name for n in flat.outputs}
        readers: dict[str, list[str]] = {}
        for operation in self._operations:
            for name in dict.fromkeys(operation.inputs):
                readers.setdefault(name, []).append(operation.name)
        tensors = {}
        for tensor in (*self._storage.values(), *self._views.values()):
            is_output = (tensor.alias_of or tensor.name) in roots
            role = "output" if is_output and tensor.producer else tensor.role
            tensors[tensor.name] = dataclasses.replace(
                tensor, role=role, readers=tuple(readers.get(tensor.name, ()))
            )
        inputs = tuple(self._storage[n].name for n in flat.inputs)
        return Program(tuple(self._operations), tensors, inputs, outputs)

    def _view(self, number: int) -> str:
        """Name of the tensor for a value: its storage, or a view of another shape."""
        root = self._drafting.root(number)
        storage = self._storage[root]
        shape = self._drafting.shape(number)
        if shape == storage.shape:
            return storage.name
        name = f"{storage.name}@{'x'.join(map(str, shape))}"
        self._views[name] = dataclasses.replace(
            storage, name=name, shape=shape, alias_of=storage.name
        )
        return name

    def _wanted_name(
        self, kind: str, draft: Draft | None, attributes: dict, steps: tuple
    ) -> str:
        if draft is not None and draft.kernel is not None:
            return _module(self._drafting.folding[draft.kernel].paths) or kind
        if kind == "elementwise":
            function = steps[0].function if len(steps) < 3 else kind
            return _FUNCTION_NAMES.get(function, function)
        return f"reduce_{attributes['function']}" if kind == "reduce" else kind

    def _unique(self, wanted: str) -> str:
        name, count = wanted, 0
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        return name


class _Building:
    """Weights and steps of one operation."""

    def __init__(
        self, drafting: Drafting, name: str, shape: tuple[int, ...], merge: bool
    ):
        self._merge = merge
        self._drafting = drafting
        self._name = name
        self._shape = shape
        self.weights: list[Weight] = []
        self.loads: list[Step] = []
        self.steps: list[Step] = []

    def kernel(self, draft: Draft, run: Run) -> None:
        """Adds the kernel and, if the affine chain has a shift, the bias."""
        folded = self._drafting.folding[draft.kernel]
        array, paths = kernel_array(draft, self._drafting.folding), folded.paths
        if run.scale is not None:
            paths |= run.scale_paths
            if array is not None and run.known:
                array = (array.astype(np.float64) * run.scale).astype(folded.dtype)
            else:
                array = None
        self._weight("kernel", draft.kernel_shape, folded.dtype, paths, array)
        if run.shift is not None:
            channels = draft.kernel_shape[-1:]
            dtype = self._drafting.flat.values[draft.output].dtype
            shift = np.broadcast_to(run.shift, channels).astype(dtype)
            self._weight(
                "bias", channels, dtype, run.paths, shift if run.known else None
            )

    def prologue(self, steps: tuple[Draft, ...], names: dict[int, str]) -> None:
        """Adds the steps that every loaded element goes through."""
        self.epilogue(steps, names)
        self.loads, self.steps = self.steps, []

    def epilogue(self, steps: tuple[Draft, ...], names: dict[int, str]) -> None:
        """Adds elementwise steps; affine chains of two and more become one pair."""
        drafting, i = self._drafting, 0
        while i < len(steps):
            step = steps[i]
            value = drafting.root(step.inputs[0])
            run = affine_run(drafting, steps[i:], value, self._shape)
            # Integers come out of exact steps: another rounding may not be put there.
            if run.length > 1 and len(step.inputs) == 1 and self._merge:
                out = steps[i + run.length - 1].output
                names[out] = self._pair(run, names[value], out)
                i += run.length
                continue
            operands = tuple(
                self._operand(n, step)
                if n in drafting.folding
                else names[drafting.root(n)]
                for n in step.operands
            )
            names[step.output] = self._step(
                step.function, operands, step.output, step.attributes
            )
            i += 1

    def _pair(self, run: Run, x: str, out: int) -> str:
        """Adds ``s x + t``; returns the name of the result."""
        for function, role, array in (
            ("mul", "scale", run.scale),
            ("add", "shift", run.shift),
        ):
            if array is not None:
                constant = self._constant(role, array, run, out)
                x = self._step(function, (x, constant), out, {})
        return x

    def _constant(self, role: str, array: np.ndarray, run: Run, out: int) -> object:
        if run.known and not array.ndim and not run.paths:
            return array.item()
        dtype = self._drafting.flat.values[out].dtype
        values = array.astype(dtype) if run.known else None
        return self._weight(role, array.shape, dtype, run.paths, values)

    def _operand(self, number: int, step: Draft) -> object:
        """A weight-only operand: a number, or a weight that broadcasts."""
        folded = self._drafting.folding[number]
        array = self._drafting.folding.compact(number)
        if not folded.axes:
            if array is not None and not folded.paths:
                return array.reshape(()).item()
            shape: tuple[int, ...] = ()
        else:
            last = len(folded.shape) - 1
            over = self._drafting.shape(step.output)
            channels = folded.axes == {last} and folded.shape[last:] == self._shape[-1:]
            if channels:
                shape = self._shape[-1:]
            elif over == self._shape:
                shape = tuple(
                    n if i in folded.axes else 1 for i, n in enumerate(folded.shape)
                )
            else:
                shape = self._shape
                if array is not None:
                    array = np.broadcast_to(array, over)
        if array is not None:
            array = array.reshape(shape)
        return self._weight("constant", shape, folded.dtype, folded.paths, array)

    def _step(self, function: str, operands: tuple, out: int, attributes: dict) -> str:
        dtype = self._drafting.flat.values[out].dtype
        pairs = tuple(sorted(attributes.items()))
        self.steps.append(Step(function, operands, dtype, pairs))
        return f"%{len(self.steps) - 1}"

    def _weight(
        self,
        role: str,
        shape: tuple[int, ...],
        dtype: str,
        paths: frozenset[str],
        array: np.ndarray | None,
    ) -> str:
        taken = {w.name for w in self.weights}
        name, count = f"{self._name}/{role}", 0
        while name in taken:
            count += 1
            name = f"{self._name}/{role}_{count}"
        nonzero = None
        if array is not None:
            array = np.array(array)
            array.setflags(write=False)
            nonzero = int(np.count_nonzero(array))
        self.weights.append(
            Weight(name, tuple(shape), dtype, nonzero, tuple(sorted(paths)), array)
        )
        return f"w:{name}"


def _module(paths: frozenset[str]) -> str:
    """The module that a kernel belongs to: ``params/block0_conv1/kernel``'s middle."""
    # One array as parameters has no name, and neither have captured arrays.
    paths = {path for path in paths if not re.fullmatch(r"params|constant_\d+", path)}
    if not paths:
        return ""
    parts = sorted(paths)[0].split("/")
    if len(parts) > 1 and parts[0] in _COLLECTIONS:
        parts = parts[1:]
    return "/".join(parts[:-1]) or parts[-1]
