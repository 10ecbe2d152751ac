"""Writes FlatBuffers: tables, vectors and strings, without a schema compiler.

Layout (flatbuffers.dev, "FlatBuffer internals"): little endian; every reference is the
distance forward from where it stands; a table starts with the distance back to its
vtable, which says where each field lies. Here a parent always comes before its
children, and nothing is shared.
"""

import dataclasses
import struct
from collections.abc import Mapping, Sequence

import numpy as np

# Bytes of the header in front: the root's offset and the file's identifier.
_HEADER = 8


@dataclasses.dataclass(frozen=True)
class Scalar:
    """A number, with its type as a `struct` character: b, B, i, I, q, f, .."""

    kind: str
    value: float | int


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      fields: number of the field in the schema -> its value: a `Scalar`, another
        table, a string, an array (a vector of its element type) or a list of tables.
        A field that is left out has its default.
    """

    fields: Mapping[int, "Scalar | Table | str | np.ndarray | Sequence[Table]"]


def serialise(root: Table, identifier: str, alignment: int = 16) -> bytes:
    """Writes a table as a file.

    Args:
      root: the root table.
      identifier: four characters that name the schema.
      alignment: bytes; arrays of single bytes start at a multiple of it (others at one
        of their elements' size).

    Returns:
      The file's bytes.
    """
    data = bytearray(_HEADER)
    data[4:8] = identifier.encode("ascii")
    place = _write(data, root, alignment)
    struct.pack_into("<I", data, 0, place)
    return bytes(data)


def _write(data: bytearray, value: object, alignment: int) -> int:
    """Appends a value and its children; returns where it starts."""
    if isinstance(value, Table):
        return _write_table(data, value, alignment)
    if isinstance(value, str):
        text = value.encode()
        _pad(data, 4)
        place = len(data)
        data += struct.pack("<I", len(text)) + text + b"\0"
        return place
    if isinstance(value, np.ndarray):
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        size = value.dtype.itemsize
        _pad(data, alignment if size == 1 else max(size, 4), ahead=4)
        place = len(data)
        data += struct.pack("<I", value.size) + little.tobytes()
        return place
    _pad(data, 4)
    place = len(data)
    data += bytes(4 * (1 + len(value)))
    struct.pack_into("<I", data, place, len(value))
    for index, table in enumerate(value):
        slot = place + 4 * (1 + index)
        struct.pack_into("<I", data, slot, _write(data, table, alignment) - slot)
    return place


def _write_table(data: bytearray, table: Table, alignment: int) -> int:
    def kind(value: object) -> str:
        return value.kind if isinstance(value, Scalar) else "I"

    # Wide fields first, behind the four bytes of the vtable's distance.
    order = sorted(
        table.fields, key=lambda slot: -struct.calcsize(kind(table.fields[slot]))
    )
    offsets, size = {}, 4
    for slot in order:
        width = struct.calcsize(kind(table.fields[slot]))
        size += -size % width
        offsets[slot] = size
        size += width
    count = max(table.fields, default=-1) + 1
    _pad(data, 2)
    vtable = len(data)
    entries = [offsets.get(slot, 0) for slot in range(count)]
    data += struct.pack(f"<{2 + count}H", 4 + 2 * count, size, *entries)
    _pad(data, 8)
    place = len(data)
    data += bytes(size)
    struct.pack_into("<i", data, place, place - vtable)
    for slot, value in table.fields.items():
        at = place + offsets[slot]
        if isinstance(value, Scalar):
            struct.pack_into(f"<{value.kind}", data, at, value.value)
        else:
            struct.pack_into("<I", data, at, _write(data, value, alignment) - at)
    return place


def _pad(data: bytearray, alignment: int, ahead: int = 0) -> None:
    """Fills up so that what starts `ahead` bytes on is aligned."""
    data += bytes(-(len(data) + ahead) % alignment)
