"""A plan's steps as calls in C.

Each step becomes a comment that says what runs where, and one call (two, where sums
are finished). Offsets, sharing and order are the plan's; nothing is decided here.
"""

import dataclasses
import math

from spjax import analysis
from spjax.analysis.windows import map_shape
from spjax.deploy.emit.chains import Unit, units_of
from spjax.deploy.emit.layers import EmitError, Layer
from spjax.deploy.emit.tables import layer_address
from spjax.deploy.quantised import Addition, Copy, QuantisedProgram


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of the plan, written out.

    Attributes:
      comment: what runs, from where to where.
      lines: statements.
      functions: names of the C functions that it calls.
      units: units of a streamed chain, if it is one.
      planes: operations of a chain run by channels; 0 if it is none.
      can_fail: whether reading the input from outside may end it.
    """

    comment: str
    lines: tuple[str, ...]
    functions: tuple[str, ...]
    units: tuple[Unit, ...] = ()
    planes: int = 0
    can_fail: bool = False


@dataclasses.dataclass(frozen=True)
class Context:
    """What all steps are written from.

    Attributes:
      quantised: the network.
      plan: the plan.
      layers: operation name -> layer, clamps absorbed.
    """

    quantised: QuantisedProgram
    plan: analysis.Plan
    layers: dict[str, Layer]

    @property
    def program(self) -> analysis.Program:
        """The graph."""
        return self.quantised.program

    @property
    def sums(self) -> dict[str, Addition]:
        """Operation name -> integers, of all elementwise sums."""
        operations = self.quantised.operations.items()
        return {n: op for n, op in operations if isinstance(op, Addition)}

    def layer(self, operation: str) -> str:
        """A layer's description, in C."""
        return layer_address(operation, self.layers)

    def position(self, operation: str) -> int:
        """Position of an operation in the program."""
        names = [op.name for op in self.program.operations]
        return names.index(operation)

    def outside(self, storage: str) -> bool:
        """Whether a storage lies outside of the arena."""
        return storage in self.program.inputs and not self.plan.schedule.sizes[storage]

    def address(self, name: str) -> str:
        """Where a tensor begins, in C."""
        storage = self.program.storage(name)
        if self.outside(storage):
            return "input"
        return f"spjax_arena + {self.plan.offset(storage)}"

    def apart(self, task: analysis.Task) -> bool:
        """Whether a task's output shares no byte with what it reads."""
        sizes = self.plan.schedule.sizes
        start = self.plan.offset(task.output)
        for storage in task.reads:
            if not self.outside(storage):
                other = self.plan.offset(storage)
                if (
                    start < other + sizes[storage]
                    and other < start + sizes[task.output]
                ):
                    return False
        return True


def write(context: Context, task: analysis.Task, index: int) -> Step:
    """One step of a plan.

    Args:
      context: network, plan and layers.
      task: the step.
      index: its position in the plan, which names its tables.

    Returns:
      The step in C.

    Raises:
      EmitError: if it has no kernel.
    """
    if task.mode == "channels":
        return _channels(context, task, index)
    if task.stream is not None:
        units = units_of(context.plan, task, context.layers)
        if len(units) == 1:
            return _alone(context, task, units[0])
        return _stream(context, task, units, index)
    return _whole(context, task)


def _whole(context: Context, task: analysis.Task) -> Step:
    program = context.program
    operation = program.operation(task.operations[0])
    integers = context.quantised.operations[operation.name]
    to = context.address(operation.output)
    if operation.name in context.layers:
        return _layer(context, task, operation, to)
    count = program.tensors[operation.output].elements
    if isinstance(integers, Addition):
        a, b = (context.address(name) for name in operation.inputs)
        number = list(context.sums).index(operation.name)
        line = f"add(spjax_g_sums + {number}, {a}, {b}, {to}, {count});"
        return Step(_comment(context, task), (line,), ("add",))
    if isinstance(integers, Copy) and operation.kind == "concatenate":
        return _concatenate(context, task, operation, integers)
    raise EmitError(
        f"operation '{operation.name}' is a {operation.function}, which has no kernel."
    )


def _layer(
    context: Context, task: analysis.Task, operation: analysis.Operation, to: str
) -> Step:
    layer, row = context.layers[operation.name], context.layer(operation.name)
    source = context.address(operation.inputs[0])
    if layer.kind != "SPJAX_LINEAR":
        line = f"pool({row}, {source}, {to});"
        return Step(_comment(context, task), (line,), ("pool",))
    channels = _channels_read(context, operation)
    line = f"conv({row}, {source}, {channels}, {to});"
    return Step(_comment(context, task), (line,), ("conv",))


def _channels_read(context: Context, operation: analysis.Operation) -> int:
    """Channels of a layer's input; a dense layer reads a map of one pixel."""
    tensor = context.program.tensors[operation.inputs[0]]
    if operation.kind == "dense":
        return tensor.elements
    return map_shape(context.program, tensor.name)[2]


def _concatenate(
    context: Context, task: analysis.Task, operation: analysis.Operation, copy: Copy
) -> Step:
    """Piece after piece in memory order, one loop if there are several rounds."""
    tensors = context.program.tensors
    axis = operation.attribute("axis") % len(tensors[operation.output].shape)
    rounds = math.prod(tensors[operation.output].shape[:axis])
    width = tensors[operation.output].elements // rounds
    lines, done = [], 0
    for name in operation.inputs:
        piece = tensors[name].elements // rounds
        source, to = context.address(name), context.address(operation.output)
        if rounds > 1:
            source, to = f"{source} + round * {piece}", f"{to} + round * {width}"
        lines.append(
            f"copy({source}, {to} + {done}, {piece}, {copy.minimum}, {copy.maximum});"
        )
        done += piece
    if rounds > 1:
        head = f"for (uint16_t round = 0; round < {rounds}; ++round) {{"
        lines = [head, *(f"  {line}" for line in lines), "}"]
    seen = (
        f"SEEN_ALL({context.position(operation.name)},"
        f" {context.address(operation.output)}, {width * rounds});"
    )
    return Step(_comment(context, task), (*lines, seen), ("copy",))


def _alone(context: Context, task: analysis.Task, unit: Unit) -> Step:
    """A single unit without a ring: one layer, or a convolution and its pooling."""
    first = context.program.operation(task.operations[0])
    to = context.address(task.output)
    if unit.pool is None:
        return _layer(context, task, context.program.operation(unit.layer), to)
    grows = unit.role == "SPJAX_GROWN" and context.apart(task)
    function = "grown" if grows else "pooled"
    line = (
        f"{function}({context.layer(unit.layer)}, {context.layer(unit.pool)},"
        f" {context.address(first.inputs[0])}, {_channels_read(context, first)}, {to});"
    )
    return Step(_comment(context, task), (line,), (function,))


def _stream(
    context: Context, task: analysis.Task, units: list[Unit], index: int
) -> Step:
    first = context.program.operation(task.operations[0])
    rows, columns, channels = map_shape(context.program, first.inputs[0])
    if units[0].role == "SPJAX_TAKES":  # as it lies in memory, whatever the view
        rows, columns, channels = units[0].shape
    storage = context.program.storage(first.inputs[0])
    fed = context.outside(storage) and units[0].role == "SPJAX_TAKES"
    source = "0" if fed else context.address(storage)
    reader = "read, context" if fed else "0, 0"
    lines = [
        f"feed = (spjax_feed){{{{{source}, {rows * columns}, {channels}}}, {reader}, 0,"
        " {0, 0, 0}};",
        f"failed = stream(spjax_g_units{index}, {len(units)}, &feed);",
        "if (failed) return failed;",
    ]
    functions = ["stream"]
    if units[-1].role == "SPJAX_SUMS":
        row = context.layer(units[-1].layer)
        to = context.address(task.output)
        lines.append(f"finish_sums({row}, spjax_arena + {units[-1].place}, {to});")
        functions.append("finish_sums")
    comment = _comment(context, task)
    return Step(comment, tuple(lines), tuple(functions), tuple(units), can_fail=True)


def _channels(context: Context, task: analysis.Task, index: int) -> Step:
    for name in task.operations:
        if name not in context.layers:
            raise EmitError(
                f"operation '{name}' runs channel by channel, which has no kernel for"
                f" {context.program.operation(name).function}."
            )
    first = context.program.operation(task.operations[0])
    line = (
        f"by_channels(spjax_g_planes{index}, {len(task.operations)},"
        f" {context.address(first.inputs[0])},"
        f" {_channels_read(context, first)}, {context.address(task.output)});"
    )
    comment = _comment(context, task)
    return Step(comment, (line,), ("by_channels",), planes=len(task.operations))


def _comment(context: Context, task: analysis.Task) -> str:
    """E.g. ``conv0, whole: 28x28x1 at 0 -> 26x26x8 at 784``."""
    program = context.program
    names = " + ".join(task.operations)

    def place(name: str) -> str:
        shape = "x".join(map(str, program.tensors[name].shape[1:]))
        storage = program.storage(name)
        if context.outside(storage):
            return f"{shape} from outside"
        return f"{shape} at {context.plan.offset(storage)}"

    into = program.operation(task.operations[0]).inputs
    text = (
        f"{names}, {task.mode}: {', '.join(map(place, into))} -> {place(task.output)}"
    )
    if task.scratch:
        scratch = context.plan.offset(f"{task.name}/scratch")
        text += f", {task.scratch} bytes of scratch at {scratch}"
    return text


def plane_places(context: Context, task: analysis.Task) -> list[int]:
    """Offsets in the arena of the planes of a task of the mode ``channels``."""
    scratch = context.plan.offset(f"{task.name}/scratch") if task.scratch else 0
    return [scratch + int(offset) for offset in task.planes.offsets]
