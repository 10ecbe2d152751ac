"""ELF files: sections and symbols of a firmware, read without any tool.

After the *System V Application Binary Interface*, chapters 4 and 5: little-endian
files of 32 and 64 bits.
"""

import dataclasses
import pathlib
import struct

FUNCTION, OBJECT = 2, 1

_ALLOCATED, _NO_BITS, _SYMBOLS = 2, 8, 2


class ElfError(ValueError):
    """A file that is no ELF file, or none that spjax reads."""


@dataclasses.dataclass(frozen=True)
class Section:
    """A section: where it is loaded and how long it is, in bytes.

    Attributes:
      name: its name.
      address: its address at run time.
      size: its bytes.
      allocated: whether it exists in the chip's memory at all.
      in_file: whether it has content (``.bss`` has none).
    """

    name: str
    address: int
    size: int
    allocated: bool
    in_file: bool


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A symbol of the table.

    Attributes:
      name: its name.
      value: its address.
      size: its bytes.
      kind: `FUNCTION`, `OBJECT` or another number of the specification.
      section: position of its section; 0 for one that is not defined here, more than
        the number of sections for an absolute one.
    """

    name: str
    value: int
    size: int
    kind: int
    section: int


@dataclasses.dataclass(frozen=True)
class Elf:
    """Sections and symbols of an ELF file."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def address(self, name: str) -> int:
        """Value of a symbol that is defined.

        Raises:
          ElfError: if there is none of that name.
        """
        for symbol in self.symbols:
            if symbol.name == name and symbol.section:
                return symbol.value
        raise ElfError(f"the firmware has no symbol {name}")


def read_elf(path: pathlib.Path) -> Elf:
    """Reads an ELF file.

    Raises:
      ElfError: if it is none, or big-endian.
    """
    data = path.read_bytes()
    if data[:4] != b"\x7fELF" or len(data) < 52 or data[5] != 1:
        raise ElfError(f"{path} is no little-endian ELF file")
    wide = data[4] == 2
    table = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)[0]
    width, count, names = struct.unpack_from("<HHH", data, 58 if wide else 46)
    layout = "<IIQQQQIIQQ" if wide else "<10I"
    headers = [
        struct.unpack_from(layout, data, table + i * width) for i in range(count)
    ]
    strings = headers[names][4]
    sections = tuple(
        Section(
            name=_text(data, strings + header[0]),
            address=header[3],
            size=header[5],
            allocated=bool(header[2] & _ALLOCATED),
            in_file=header[1] != _NO_BITS,
        )
        for header in headers
    )
    symbols = []
    for header in headers:
        if header[1] == _SYMBOLS:
            base = headers[header[6]][4]
            symbols += _symbols(data, header[4], header[5], base, wide)
    return Elf(sections, tuple(symbols))


def _symbols(data, offset, size, names, wide):
    layout = struct.Struct("<IBBHQQ" if wide else "<IIIBBH")
    for fields in layout.iter_unpack(data[offset : offset + size]):
        if wide:
            name, info, _, section, value, length = fields
        else:
            name, value, length, info, _, section = fields
        yield Symbol(_text(data, names + name), value, length, info & 15, section)


def _text(data, start):
    return data[start : data.index(b"\0", start)].decode()


def occupied(elf: Elf) -> tuple[int, int]:
    """Bytes of flash and of static RAM that a firmware takes.

    Data with a first value lies in both: the value in flash.
    """
    there = [section for section in elf.sections if section.allocated]
    flash = sum(section.size for section in there if section.in_file)
    return flash, sum(section.size for section in there if in_ram(section))


def in_ram(section: Section) -> bool:
    """Whether a section is static data."""
    return section.allocated and section.name.startswith((".data", ".bss", ".noinit"))
