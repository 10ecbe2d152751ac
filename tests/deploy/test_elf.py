"""Sections and symbols, against what nm, size and objdump of binutils say."""

import subprocess

import pytest

from spjax import deploy
from spjax.deploy.elf import FUNCTION
from tests.deploy import tiny_model

PREFIX = {"uno": "avr-", "microbit": "arm-none-eabi-", "host": ""}


@pytest.mark.parametrize("name", PREFIX)
def test_symbols_and_sections_are_those_of_binutils(name, tmp_path):
    firmware = tiny_model.build(tiny_model.need(name), tmp_path)
    read = deploy.read_elf(firmware.elf)

    def tool(program, *options):
        command = [PREFIX[name] + program, *options, str(firmware.elf)]
        return subprocess.run(command, capture_output=True, text=True, check=True)

    # The lowest bit of a function's value says "Thumb"; nm leaves it out.
    thumb = -2 if name == "microbit" else -1
    ours = {
        (s.name, s.value & (thumb if s.kind == FUNCTION else -1), s.size)
        for s in read.symbols
        if s.size and s.section
    }
    theirs = set()
    for line in tool("nm", "-S", "--defined-only").stdout.splitlines():
        fields = line.split()
        if len(fields) == 4:
            theirs.add((fields[3], int(fields[0], 16), int(fields[1], 16)))
    assert ours == theirs
    sections = {}
    for line in tool("objdump", "-h").stdout.splitlines():
        fields = line.split()
        if len(fields) == 7 and fields[0].isdigit():
            sections[fields[1]] = int(fields[2], 16)
    assert {
        s.name: s.size for s in read.sections if s.allocated and s.size
    }.items() <= sections.items()


def test_address_of_a_symbol(tmp_path):
    firmware = tiny_model.build(tiny_model.need("microbit"), tmp_path)
    read = deploy.read_elf(firmware.elf)
    assert read.address("__stack_top") == 0x2000_0000 + 16 * 1024
    with pytest.raises(deploy.ElfError, match="no symbol nothing"):
        read.address("nothing")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\1\2" + bytes(60)])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "firmware.elf"
    path.write_bytes(content)
    with pytest.raises(deploy.ElfError, match="no little-endian ELF"):
        deploy.read_elf(path)
