"""Constant arrays and tables of the generated C."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spjax.deploy.emit.chains import Unit
from spjax.deploy.emit.functions import format_constant
from spjax.deploy.emit.layers import Layer
from spjax.deploy.quantised import Addition

_TYPES = {"uint8": "uint8_t", "int32": "int32_t"}


@dataclasses.dataclass(frozen=True)
class Table:
    """A constant array in flash.

    Attributes:
      symbol: its name in C.
      values: its elements.
      role: ``values``, ``index``, ``bias``, ``multiplier`` or ``shift``.
    """

    symbol: str
    values: np.ndarray = dataclasses.field(repr=False)
    role: str

    @property
    def bytes(self) -> int:
        """Bytes in flash."""
        return self.values.nbytes


def layer_tables(layer: Layer) -> list[Table]:
    """The arrays of one layer: encoded weights, and numbers for each output."""
    if layer.encoded is None:
        return []
    made = []
    for role in ("values", "index"):
        values = getattr(layer.encoded, role)
        if values.size:
            made.append(Table(f"spjax_w_{layer.symbol}_{role}", values, role))
    for role, values in (
        ("bias", layer.bias),
        ("multiplier", layer.multipliers),
        ("shift", layer.shifts),
    ):
        made.append(Table(f"spjax_c_{layer.symbol}_{role}", values, role))
    return made


def c_array(table: Table) -> str:
    """An array's definition."""
    kind, size = _TYPES[table.values.dtype.name], table.values.size
    head = f"static const {kind} {table.symbol}[{size}] SPJAX_FLASH = {{"
    numbers = [_literal(int(v)) for v in table.values]
    return head + "\n" + _rows(numbers) + "};\n"


def _literal(value: int) -> str:
    # -2147483648 is no literal in C but the negation of one that is too large.
    return "-2147483647 - 1" if value == -(2**31) else str(value)


def _rows(numbers: Sequence[str]) -> str:
    lines, line = [], "   "
    for number in numbers:
        if len(line) + len(number) + 2 > 88:
            lines.append(line)
            line = "   "
        line += f" {number},"
    return "\n".join([*lines, line, ""])


def layer_table(layers: dict[str, Layer], several_formats: bool) -> str:
    """``spjax_g_layers``: one row per layer."""
    lines = [f"static const spjax_layer spjax_g_layers[{len(layers)}] SPJAX_FLASH = {{"]
    for i, layer in enumerate(layers.values()):
        lines.append(f"    {{/* {i}: {layer.operation} */")
        members = {"kind": layer.kind}
        if layer.encoded is not None:
            if several_formats:
                members["format"] = format_constant(layer.encoded.format)
            for table in layer_tables(layer):
                members[table.role] = table.symbol
        members |= {name: str(value) for name, value in layer.fields.items()}
        members |= {"minimum": str(layer.minimum), "maximum": str(layer.maximum)}
        text = [f".{name} = {value}" for name, value in members.items()]
        lines.append(f"     OPERATION({layer.number})")
        lines += ["  " + row for row in _rows(text).rstrip("\n").split("\n")]
        lines[-1] = lines[-1].rstrip(",") + "},"
    return "\n".join([*lines, "};", ""])


def unit_table(units: Sequence[Unit], layers: dict[str, Layer], index: int) -> str:
    """``spjax_g_unitsN``: the units of a streamed chain, with what they leave out."""
    text, rows = "", []
    for i, unit in enumerate(units):
        wanted = "0"
        if unit.wanted is not None:
            wanted = f"spjax_g_wanted{index}_{i}"
            text += c_array(Table(wanted, unit.wanted, "wanted"))
        height, width, channels = unit.shape
        rows.append(
            f"    {{{unit.role}, {layer_address(unit.layer, layers)},"
            f" {layer_address(unit.pool, layers)},\n"
            f"     spjax_arena + {unit.place}, {unit.pixels}, {channels}, {height},"
            f" {width}, {wanted}}},"
            f" /* {_name(unit)} */"
        )
    head = (
        f"static const spjax_unit spjax_g_units{index}[{len(units)}] SPJAX_FLASH = {{"
    )
    return "\n".join([text + head, *rows, "};", ""])


def layer_address(name: str | None, layers: dict[str, Layer]) -> str:
    """A row of ``spjax_g_layers`` in C; 0 for no layer."""
    return "0" if name is None else f"spjax_g_layers + {list(layers).index(name)}"


def sum_table(sums: dict[str, Addition], positions: dict[str, int]) -> str:
    """``spjax_g_sums``: one row per elementwise sum.

    Args:
      sums: operation name -> its integers.
      positions: operation name -> its position in the program.
    """
    lines = [f"static const spjax_sum spjax_g_sums[{len(sums)}] SPJAX_FLASH = {{"]
    for name, addition in sums.items():
        members = {"zero": addition.output_zero_point}
        members |= {"multiplier": addition.output_multiplier}
        members |= {"shift": -addition.output_shift}
        for i, suffix in enumerate("ab"):
            members[f"zero_{suffix}"] = addition.input_zero_points[i]
            members[f"multiplier_{suffix}"] = addition.input_multipliers[i]
            members[f"shift_{suffix}"] = -addition.input_shifts[i]
        members |= {"minimum": addition.minimum, "maximum": addition.maximum}
        text = [f".{member} = {value}" for member, value in members.items()]
        lines.append(f"    {{/* {name} */")
        lines.append(f"     OPERATION({positions[name]})")
        lines += ["  " + row for row in _rows(text).rstrip("\n").split("\n")]
        lines[-1] = lines[-1].rstrip(",") + "},"
    return "\n".join([*lines, "};", ""])


def _name(unit: Unit) -> str:
    names = [name for name in (unit.layer, unit.pool) if name]
    return " + ".join(names) or "the input"


def chain_table(
    names: Sequence[str], places: Sequence[int], layers: dict[str, Layer], index: int
) -> str:
    """``spjax_g_planesN``: the steps of a task that runs by channels."""
    addresses = [*(f"spjax_arena + {place}" for place in places), "0"]
    rows = [
        f"    {{{layer_address(name, layers)}, {address}}}, /* {name} */"
        for name, address in zip(names, addresses, strict=True)
    ]
    head = (
        f"static const spjax_plane spjax_g_planes{index}[{len(names)}] SPJAX_FLASH = {{"
    )
    return "\n".join([head, *rows, "};", ""])
