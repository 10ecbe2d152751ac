"""A quantised network and its memory plan, printed as C.

The plan is the program: one static array of exactly ``planned_arena`` bytes, each
storage and scratch at its offset, one call per step, in the plan's order. What
`spjax.analysis.simulate` does over one byte array, the C code does.
"""

import dataclasses
import re
from collections.abc import Mapping

from spjax import analysis
from spjax.deploy import codecs
from spjax.deploy.emit import c_busy, c_types
from spjax.deploy.emit.chains import absorb_clamps
from spjax.deploy.emit.functions import format_constant, formats_of, function_texts
from spjax.deploy.emit.header import header
from spjax.deploy.emit.layers import EmitError, Layer, layers_of
from spjax.deploy.emit.predict import predict_text
from spjax.deploy.emit.tables import (
    Table,
    c_array,
    chain_table,
    layer_table,
    layer_tables,
    sum_table,
    unit_table,
)
from spjax.deploy.emit.tasks import Context, Step, plane_places, write
from spjax.deploy.quantised import QuantisedProgram


@dataclasses.dataclass(frozen=True)
class Model:
    """A network as C.

    Attributes:
      name: what it is called.
      files: file name -> text: ``spjax_model.h`` and ``spjax_model.c``.
      network_sources: the C files that a firmware compiles.
      arena_bytes: its static RAM, ``planned_arena``; it has no other.
      tables: its constant arrays, tables of geometry apart.
      formats: operation name -> name of its weights' format.
      quantised: the network.
      plan: the plan.
    """

    name: str
    files: dict[str, str] = dataclasses.field(repr=False)
    network_sources: tuple[str, ...]
    arena_bytes: int
    tables: tuple[Table, ...] = dataclasses.field(repr=False)
    formats: dict[str, str]
    quantised: QuantisedProgram = dataclasses.field(repr=False)
    plan: analysis.Plan = dataclasses.field(repr=False)

    @property
    def encoded_bytes(self) -> int:
        """model_size_encoded, in bytes: what the constant arrays take in flash."""
        return sum(table.bytes for table in self.tables)


def model(
    quantised: QuantisedProgram,
    plan: analysis.Plan,
    *,
    name: str = "model",
    formats: Mapping[str, codecs.Format] | None = None,
) -> Model:
    """Writes a network as C99.

    Args:
      quantised: the network.
      plan: how it runs: a plan of ``quantised.program`` with one byte per element.
      name: letters, digits, spaces and ``_.-`` only.
      formats: operation name -> format of its weights; of others the one with the
        fewest bytes.

    Returns:
      The C files, and what they take.

    Raises:
      EmitError: if an operation has no kernel, or the plan is not one of this network
        with int8 activations.
      CodecError: if a given format cannot hold the weights of its operation.
    """
    _check(quantised, plan, name)
    layers = absorb_clamps(plan, layers_of(quantised, plan, formats))
    context = Context(quantised, plan, layers)
    steps = [write(context, task, i) for i, task in enumerate(plan.steps)]
    tables = [t for layer in layers.values() for t in layer_tables(layer)]
    made = Model(
        name=name,
        files={},
        network_sources=("spjax_model.c",),
        arena_bytes=plan.planned_arena,
        tables=tuple(tables),
        formats={
            layer.operation: layer.encoded.format.name
            for layer in layers.values()
            if layer.encoded is not None
        },
        quantised=quantised,
        plan=plan,
    )
    text = header(quantised, plan, name, made.encoded_bytes, _fed(steps))
    made.files["spjax_model.h"] = text
    made.files["spjax_model.c"] = _source(context, steps, tables, name)
    return made


def _check(quantised: QuantisedProgram, plan: analysis.Plan, name: str) -> None:
    program = plan.schedule.program
    if not re.fullmatch(r"[\w .-]+", name, re.ASCII):
        raise EmitError(
            f"name is {name!r}; use letters, digits, spaces, '_', '.' and '-' only."
        )
    if [op.name for op in program.operations] != [
        op.name for op in quantised.program.operations
    ]:
        raise EmitError("the plan is one of another network than the quantised one.")
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        raise EmitError(
            f"the network has {len(program.inputs)} inputs and {len(program.outputs)}"
            " outputs; the C interface takes one image and gives one vector."
        )
    for storage, size in plan.schedule.sizes.items():
        if size not in (0, program.tensors[storage].elements):
            raise EmitError(
                f"the plan gives '{storage}' {size} bytes, but it has"
                f" {program.tensors[storage].elements} int8 elements; plan with"
                " bytes_per_element=1."
            )


def _fed(steps: list[Step]) -> bool:
    """Whether a step takes its input pixel by pixel from outside."""
    return any("read, context" in line for step in steps for line in step.lines)


def _source(context: Context, steps: list[Step], tables: list[Table], name: str) -> str:
    plan, layers = context.plan, context.layers
    units = [unit for step in steps for unit in step.units]
    chains = [t.operations for t in plan.steps if t.mode == "channels"]
    called = {name for step in steps for name in step.functions}
    forms = formats_of(layers)
    count = _count_type(context, _fed(steps))
    too_large = '#error "a layer of this network is too large for AVR"\n'
    parts = [
        f"/* {name}: an int8 neural network. Generated by spjax; do not edit. */",
        '#include "spjax_model.h"\n',
        c_types.FLASH.replace("@AVR@", too_large if count == "uint32_t" else ""),
        c_busy.BUSY,
        c_types.TRACE,
        c_types.TYPES.replace("@COUNT@", count),
    ]
    if len(forms) > 1:
        names = ", ".join(map(format_constant, forms))
        parts.append(f"enum {{ {names} }};\n")
    parts.append(_limits(layers, steps))
    parts.append(
        "/* All working memory. Where things lie in it is the memory plan's doing. */\n"
        "static int8_t spjax_arena[SPJAX_ARENA_BYTES];\n"
    )
    parts += [c_array(table) for table in tables]
    if layers:
        parts.append(layer_table(layers, len(forms) > 1))
    if context.sums:
        positions = {name: context.position(name) for name in context.sums}
        parts += [c_types.SUM_TYPE, sum_table(context.sums, positions)]
    if any(step.units for step in steps):
        parts.append(c_types.UNIT_TYPES)
    if chains:
        parts.append(c_types.PLANE_TYPE)
    for i, (task, step) in enumerate(zip(plan.steps, steps, strict=True)):
        if step.units:
            parts.append(unit_table(step.units, layers, i))
        if step.planes:
            places = plane_places(context, task)
            parts.append(chain_table(task.operations, places, layers, i))
    parts += function_texts(called, layers, units, chains)
    parts.append(predict_text(context, steps, _fed(steps)))
    return "\n".join(parts)


def _count_type(context: Context, streamed: bool) -> str:
    """16 bits, unless a layer's weights or the bytes of a map in memory need more."""
    largest = context.plan.planned_arena
    if not streamed:
        largest = max(
            largest, context.program.tensors[context.program.inputs[0]].elements
        )
    for layer in context.layers.values():
        if layer.encoded is not None:
            # A gap may reach beyond the last weight by a row.
            size = layer.encoded.rows * layer.encoded.length + layer.encoded.length + 2
            bits = layer.encoded.format.index_bits or 1
            fields = layer.encoded.index.size * 8 // bits
            largest = max(largest, size, fields)
    return "uint16_t" if largest < 2**16 else "uint32_t"


def _limits(layers: dict[str, Layer], steps: list[Step]) -> str:
    """Sizes of the few arrays on the stack."""
    taps = [layer.fields["taps"] for layer in layers.values() if layer.encoded]
    units = max((len(step.units) for step in steps), default=0)
    planes = max((step.planes for step in steps), default=0)
    text = (
        f"#define SPJAX_TAPS {max(taps)} /* of the largest kernel */\n" if taps else ""
    )
    text += f"#define SPJAX_UNITS {units} /* of the longest chain */\n" if units else ""
    return text + (f"#define SPJAX_PLANES {planes}\n" if planes else "")
