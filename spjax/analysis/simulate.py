"""Executes a memory plan over one byte array, as proof that it loses no data.

The array has exactly ``planned_arena`` bytes between two guards. It starts out as
garbage; a buffer turns into garbage again the moment its life ends. Where the plan
lets an output overlap an input, the operation runs element by element on the array
itself. At every step

- each input must still hold, byte for byte, what its producer wrote,
- the output must be what the reference evaluation makes of those inputs,

and at the end both guards must be untouched.
"""

from collections.abc import Mapping

import numpy as np

from spjax.analysis import reference
from spjax.analysis.elements import elements
from spjax.analysis.errors import AnalysisError, CorruptedPlan
from spjax.analysis.plan import Plan
from spjax.analysis.program import Operation
from spjax.analysis.schedule import Task
from spjax.analysis.stream_run import run_channels, run_stream

_GUARD = 64


def simulate(
    plan: Plan, inputs: Mapping[str, np.ndarray], seed: int = 0
) -> dict[str, np.ndarray]:
    """Runs a plan.

    Args:
      plan: a plan whose elements take as many bytes as their types do: made with
        ``bytes_per_element=None``, or the itemsize of every activation.
      inputs: arrays by input name.
      seed: of the garbage.

    Returns:
      Every storage that the plan writes, as it was right after it was written, and
      the inputs.

    Raises:
      CorruptedPlan: if data is lost.
      AnalysisError: if elements do not fit their bytes, or weights have no values.
    """
    return _Simulation(plan, seed).run(inputs)


class _Simulation:
    def __init__(self, plan: Plan, seed: int):
        self.plan = plan
        self.program = plan.schedule.program
        self.rng = np.random.default_rng(seed)
        self.memory = self.rng.integers(
            0, 256, plan.planned_arena + 2 * _GUARD, np.uint8
        )
        self.guards = self.memory[:_GUARD].copy(), self.memory[-_GUARD:].copy()
        self.place = {
            b.name: (o, b) for b, o in zip(plan.buffers, plan.offsets, strict=True)
        }
        self.outside: dict[str, np.ndarray] = {}
        self.written: dict[str, np.ndarray] = {}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._check_types()
        for name in self.program.inputs:
            tensor = self.program.tensors[name]
            value = np.asarray(inputs[name]).astype(tensor.dtype)
            self.written[name] = value.reshape(tensor.shape)
            if self.place[name][1].size:
                self.view(name)[...] = self.written[name]
            else:
                self.outside[name] = self.written[name].copy()
        for step, task in enumerate(self.plan.steps):
            for name in task.reads:
                self.check(name, f"before {task.name}")
            self.execute(task)
            self._bury(step)
        for name in self.program.outputs:
            self.check(self.program.storage(name), "at the end")
        low, high = self.memory[:_GUARD], self.memory[-_GUARD:]
        if (low != self.guards[0]).any() or (high != self.guards[1]).any():
            raise CorruptedPlan("the plan writes outside of its arena.")
        return self.written

    def _check_types(self) -> None:
        for name, size in self.plan.schedule.sizes.items():
            tensor = self.program.tensors[name]
            wanted = tensor.elements * np.dtype(tensor.dtype).itemsize
            if size not in (0, wanted):
                raise AnalysisError(
                    f"'{name}' has {size} bytes in the plan, but {wanted} as"
                    f" {tensor.dtype}; plan with bytes_per_element=None to simulate."
                )

    def view(self, name: str) -> np.ndarray:
        """A storage as an array over the memory itself."""
        tensor = self.program.tensors[name]
        if name in self.outside:
            return self.outside[name]
        offset = self.place[name][0] + _GUARD
        return np.ndarray(tensor.shape, tensor.dtype, self.memory, offset)

    def check(self, name: str, when: str) -> None:
        """Refuses a storage that no longer holds what was written."""
        if self.view(name).tobytes() != self.written[name].tobytes():
            raise CorruptedPlan(f"'{name}' was overwritten {when}.")

    def execute(self, task: Task) -> None:
        """Runs one task."""
        if task.mode != "whole":
            self._stream(task)
            return
        operation = self.program.operation(task.operations[0])
        arguments = [
            self.view(self.program.storage(name)).reshape(
                self.program.tensors[name].shape
            )
            for name in operation.inputs
        ]
        expected = reference.run(
            self.program, operation, [np.array(x) for x in arguments]
        )
        self.written[operation.output] = expected
        if self._overlaps(task):
            self._by_element(operation, arguments)
            self.compare(operation.output, expected)
        else:
            self.view(operation.output)[...] = expected

    def _stream(self, task: Task) -> None:
        """Runs a task of several operations in its rings or planes."""
        output, arguments = task.output, None
        for name in task.operations:
            operation = self.program.operation(name)
            tensor = self.program.tensors[operation.inputs[0]]
            if arguments is None:
                arguments = np.array(self.view(self.program.storage(tensor.name)))
            expected = reference.run(
                self.program, operation, [arguments.reshape(tensor.shape)]
            )
            arguments = expected
        scratch = np.zeros(0, np.uint8)
        if task.scratch:
            offset, buffer = self.place[f"{task.name}/scratch"]
            scratch = self.memory[_GUARD + offset : _GUARD + offset + buffer.size]
        source = self.view(task.reads[0])
        if task.mode == "channels":
            run_channels(self.program, task, source, scratch, self.view(output))
        else:
            # Outside of memory and copied: it arrives once, pixel by pixel.
            once = task.reads[0] in self.outside and not task.stream.units[0]
            run_stream(self.program, task, source, scratch, self.view(output), once)
        self.compare(output, expected)

    def _overlaps(self, task: Task) -> bool:
        offset, out = self.place[task.output]
        for name in task.reads:
            other, buffer = self.place[name]
            if offset < other + buffer.size and other < offset + out.size:
                return True
        return False

    def _by_element(self, operation: Operation, arguments: list) -> None:
        out = self.view(operation.output).reshape(-1)
        element = elements(self.program, operation, arguments)
        for u in range(out.size):
            out[u] = element(u)

    def compare(self, name: str, expected: np.ndarray) -> None:
        """Takes over an output that was computed in pieces, if it is right.

        Sums in another order differ in their last bits; anything more is lost data.
        """
        got = np.array(self.view(name))
        if np.issubdtype(got.dtype, np.floating):
            scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
            right = np.allclose(got, expected, rtol=1e-4, atol=1e-5 * scale)
        else:
            right = np.array_equal(got, expected)
        if not right:
            raise CorruptedPlan(f"'{name}' overwrites an input that it still needs.")
        self.written[name] = got

    def _bury(self, step: int) -> None:
        """Turns what is dead after a step into garbage."""
        keep = np.zeros(self.plan.planned_arena, bool)
        dead = np.zeros(self.plan.planned_arena, bool)
        for offset, buffer in self.place.values():
            part = slice(offset, offset + buffer.size)
            if buffer.first <= step < buffer.last:
                keep[part] = True
            elif buffer.last == step:
                dead[part] = True
        results = {self.program.storage(n) for n in self.program.outputs}
        for name in results:
            offset, buffer = self.place[name]
            if buffer.first <= step or name in self.program.inputs:
                keep[offset : offset + buffer.size] = True
        bury = np.flatnonzero(dead & ~keep) + _GUARD
        self.memory[bury] = self.rng.integers(0, 256, bury.size, np.uint8)
