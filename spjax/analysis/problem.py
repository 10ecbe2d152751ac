"""The ordering problem in integers: tasks as bits, storages by number.

A set S of executed tasks that is closed under predecessors (a downset) determines
what is alive between two tasks, whatever the order in S::

    live(S) = sum of the sizes of storages that exist and that a task outside S, or
              the result, still needs

While task o runs, its inputs and its output are there. Inputs that die in o and may
overlap with the output (with distance D, see `spjax.analysis.schedule`) take, jointly
with it, the bytes of the tightest arrangement::

    transient(S, o) = live(S) - sizes of those inputs + extent + scratch

The peak of an order is the maximum of its transients.
"""

from collections.abc import Iterable, Sequence

from spjax.analysis.schedule import Schedule


class Problem:
    """Tasks, storages and their sizes, aligned.

    Attributes:
      count: number of tasks.
      sizes: bytes by storage number.
      producer: task number by storage number; -1 for an input of the program.
      readers: bit set of tasks by storage number.
      kept: whether the storage is a result of the program.
      inputs: storage numbers by task number.
      output: storage number by task number.
      scratch: bytes by task number.
      overlap: distance by input by task number.
      merged: whether the output may be written over the scratch, by task number.
      before: bit set of direct predecessors by task number.
      after: bit set of direct successors by task number.
      names: storage names by number.
    """

    def __init__(self, schedule: Schedule, alignment: int = 1):
        program, tasks = schedule.program, schedule.tasks

        def aligned(size: int) -> int:
            return -(-size // alignment) * alignment

        self.names = [program.storage(name) for name in program.inputs]
        self.names += [task.output for task in tasks]
        number = {name: i for i, name in enumerate(self.names)}
        self.count = len(tasks)
        self.sizes = [aligned(schedule.sizes[name]) for name in self.names]
        results = {program.storage(name) for name in program.outputs}
        self.kept = [name in results for name in self.names]
        self.producer = [-1] * len(program.inputs) + list(range(self.count))
        self.connect(
            [[number[name] for name in task.reads] for task in tasks],
            [number[task.output] for task in tasks],
            [aligned(task.scratch) for task in tasks],
            [
                {number[name]: aligned(distance) for name, distance in task.overlap}
                for task in tasks
            ],
            [task.scratch_becomes_output for task in tasks],
        )

    def connect(
        self,
        inputs: list[list[int]],
        output: list[int],
        scratch: list[int],
        overlap: list[dict[int, int]],
        merged: list[bool],
    ) -> None:
        """Sets the tasks, in a topological order."""
        self.inputs, self.output = inputs, output
        self.scratch, self.overlap, self.merged = scratch, overlap, merged
        self.readers = [0] * len(self.names)
        self.before, self.after = [0] * self.count, [0] * self.count
        for task, storages in enumerate(inputs):
            for storage in storages:
                self.readers[storage] |= 1 << task
                if self.producer[storage] >= 0:
                    self.before[task] |= 1 << self.producer[storage]
                    self.after[self.producer[storage]] |= 1 << task
        self.everything = (1 << self.count) - 1

    def live(self, done: int) -> int:
        """Bytes alive between tasks once a downset has run."""
        return sum(self.sizes[s] for s in self.alive(done))

    def alive(self, done: int) -> list[int]:
        """Storages alive between tasks once a downset has run."""
        return [
            s
            for s, producer in enumerate(self.producer)
            if (producer < 0 or done >> producer & 1)
            and (self.kept[s] or self.readers[s] & ~done)
        ]

    def dying(self, done: int, task: int) -> list[int]:
        """Inputs of a task that nothing needs after it."""
        after = done | 1 << task
        return [
            s
            for s in self.inputs[task]
            if not self.kept[s] and not self.readers[s] & ~after
        ]

    def step(self, done: int, live: int, task: int) -> tuple[int, int]:
        """Runs one task.

        Args:
          done: downset that has run.
          live: its live bytes.
          task: a task whose predecessors have run.

        Returns:
          (bytes while it runs, live bytes afterwards).
        """
        dying = self.dying(done, task)
        out = self.output[task]
        stays = self.kept[out] or self.readers[out]
        after = live - sum(self.sizes[s] for s in dying)
        after += self.sizes[out] if stays else 0
        shared = [s for s in dying if s in self.overlap[task]]
        during = live - sum(self.sizes[s] for s in shared)
        return during + self.extent(task, shared), after

    def unstep(self, done: int, live: int, task: int) -> tuple[int, int]:
        """Takes the last task of a downset back.

        Args:
          done: downset that has run.
          live: its live bytes.
          task: a task of it without successors in it.

        Returns:
          (bytes while the task ran, live bytes before it).
        """
        earlier = done & ~(1 << task)
        out = self.output[task]
        if self.kept[out] or self.readers[out]:
            live -= self.sizes[out]
        live += sum(self.sizes[s] for s in self.dying(earlier, task))
        return self.step(earlier, live, task)[0], live

    def extent(self, task: int, shared: Sequence[int]) -> int:
        """Bytes of the tightest arrangement of an output, its scratch and some inputs.

        Args:
          task: the task.
          shared: dying inputs that the output may overlap.

        Returns:
          The bytes.
        """
        out, top = self.sizes[self.output[task]], 0
        if self.merged[task]:
            top = self.scratch[task]  # distance 0
        # One after another by rising distance: the rule for jobs with release times.
        for s in sorted(shared, key=self.overlap[task].__getitem__):
            top = max(top, min(self.overlap[task][s], out)) + self.sizes[s]
        return max(out, top) + (0 if self.merged[task] else self.scratch[task])

    def least_extra(self, task: int) -> int:
        """A lower bound of ``transient - live`` of a task, over all downsets."""
        shared = [s for s in self.overlap[task] if not self.kept[s]]
        saved = sum(self.sizes[s] for s in shared)
        return self.extent(task, shared) - saved

    def peak(self, order: Iterable[int]) -> int:
        """Peak bytes of a complete order of tasks."""
        return max(self.transients(order), default=self.live(0))

    def transients(self, order: Iterable[int]) -> list[int]:
        """Bytes while each task of an order runs."""
        done, live, result = 0, self.live(0), []
        for task in order:
            during, live = self.step(done, live, task)
            done |= 1 << task
            result.append(during)
        return result

    def closures(self) -> tuple[list[int], list[int]]:
        """Bit sets of all ancestors and of all descendants, by task."""
        return _closure(self.before), _closure(self.after)


def _closure(direct: list[int]) -> list[int]:
    """Transitive closure of a relation without cycles."""
    full: dict[int, int] = {}
    for start in range(len(direct)):
        stack = [start]
        while stack:
            task = stack[-1]
            missing = [t for t in bits(direct[task]) if t not in full]
            if task in full or not missing:
                stack.pop()
                full[task] = direct[task]
                for other in bits(direct[task]):
                    full[task] |= full[other]
            else:
                stack.extend(missing)
    return [full[task] for task in range(len(direct))]


def bits(mask: int) -> Iterable[int]:
    """Positions of the set bits."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
