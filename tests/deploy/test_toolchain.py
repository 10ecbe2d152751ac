"""Firmware is built within the chip's limits, and errors say what to do."""

import dataclasses
import re
import subprocess

import pytest

from spjax import deploy
from tests.deploy import tiny_model


def test_missing_tools_are_named_with_their_packages(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    uno = deploy.get_board("uno")
    assert deploy.missing_packages(uno) == (
        "gcc-avr",
        "avr-libc",
        "gcc",
        "libc6-dev",
        "libsimavr-dev",
    )
    with pytest.raises(deploy.ToolchainError) as caught:
        deploy.require_tools(deploy.get_board("microbit"))
    assert re.fullmatch(
        "--board=microbit needs .* apt-get install --no-install-recommends "
        "gcc-arm-none-eabi qemu-system-arm gcc libc6-dev",
        str(caught.value),
    )


def test_a_missing_compiler_ends_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(deploy.ToolchainError, match="avr-gcc is not installed"):
        tiny_model.build(deploy.get_board("uno"), tmp_path)


def test_a_missing_header_is_a_missing_package(monkeypatch, tmp_path):
    """A compiler that finds no header at all: the libraries are what is missing."""
    for name in ("cc", "avr-gcc"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    missing = deploy.missing_packages(deploy.get_board("uno"))
    assert missing == ("avr-libc", "libc6-dev", "libsimavr-dev")


@pytest.mark.parametrize("name", tiny_model.BOARDS)
def test_flash_beyond_the_limit_does_not_link(name, tmp_path):
    board = tiny_model.need(name)
    whole = tiny_model.build(board, tmp_path / "whole")
    flash = deploy.footprint(whole, tiny_model.WEIGHTS).flash_bytes
    exact = dataclasses.replace(board, flash_bytes=flash)
    tiny_model.build(exact, tmp_path / "exact")
    short = dataclasses.replace(board, flash_bytes=flash - 4)
    with pytest.raises(deploy.DoesNotFit) as caught:
        tiny_model.build(short, tmp_path / "short")
    message = str(caught.value)
    assert f"--board={name}: the firmware needs {flash} bytes of flash" in message
    assert f"the board has {flash - 4} of flash" in message and "\n" not in message


@pytest.mark.parametrize("name", tiny_model.BOARDS)
def test_ram_beyond_the_limit_does_not_link(name, tmp_path):
    board = tiny_model.need(name)
    # A buffer that fills the RAM, and one that leaves too little for the stack.
    stack = deploy.get_target(board).stack_bytes
    for left in (0, tiny_model.ARENA_BYTES + stack - 8):
        count = board.ram_bytes - left
        with pytest.raises(deploy.DoesNotFit) as caught:
            tiny_model.build(
                board,
                tmp_path,
                before=f"static volatile int8_t more[{count}L];",
                inside="more[0] = x[0]; x[0] = more[0];",
            )
        static = count + tiny_model.ARENA_BYTES
        static += 0 if name == "uno" else -static % 4
        assert f"{static} of static RAM + {stack} for the stack" in str(caught.value)
        assert f"and {board.ram_bytes} of RAM" in str(caught.value)
        assert not (tmp_path / "build" / "firmware.elf").exists()


@pytest.mark.parametrize("name", ["uno", "stm32vldiscovery"])
def test_the_last_byte_of_the_ram_can_be_used(name, tmp_path, monkeypatch):
    board = tiny_model.need(name)
    target = dataclasses.replace(deploy.get_target(board), stack_bytes=0)
    monkeypatch.setitem(deploy.TARGETS, name, target)
    word = 1 if name == "uno" else 4
    room = board.ram_bytes - tiny_model.ARENA_BYTES
    room -= room % word
    for count in (room, room + word):
        code = {
            "before": f"static volatile int8_t more[{count}L];",
            "inside": "more[0] = x[0]; x[0] = more[0];",
        }
        if count == room:
            firmware = tiny_model.build(board, tmp_path, **code)
            size = deploy.footprint(firmware, tiny_model.WEIGHTS)
            assert size.static_ram_bytes == board.ram_bytes
        else:
            with pytest.raises(deploy.DoesNotFit):
                tiny_model.build(board, tmp_path, **code)


def test_a_source_that_does_not_compile_is_named(tmp_path):
    board = tiny_model.need("host")
    with pytest.raises(deploy.ToolchainError, match=r"spjax_model\.c:\d+.*error"):
        tiny_model.build(board, tmp_path, before="int x = ;")


@pytest.mark.parametrize("name", ["uno", "microbit", "host"])
def test_the_commands_build_the_same_firmware_again(name, tmp_path):
    firmware = tiny_model.build(tiny_model.need(name), tmp_path)
    first = firmware.elf.read_bytes()
    for path in (firmware.elf, *firmware.objects):
        path.unlink()
    assert not any(str(tmp_path) in command for command in firmware.commands)
    for command in firmware.commands:
        subprocess.run(command, shell=True, cwd=firmware.elf.parent, check=True)
    assert firmware.elf.read_bytes() == first


def test_network_is_strict_c99_without_warnings(tmp_path):
    """Our own harness files too: they are compiled with -Wall -Wextra."""
    for name in (*tiny_model.BOARDS, "host"):
        firmware = tiny_model.build(tiny_model.need(name), tmp_path / name)
        folder = firmware.elf.parent
        target = deploy.get_target(firmware.board)
        compiler = {
            "avr": ["avr-gcc", f"-mmcu={target.cpu}", "-DF_CPU=16000000"],
            "arm": [
                *("arm-none-eabi-gcc", f"-mcpu={target.cpu}", "-mthumb"),
                "-ffreestanding",
            ],
            "host": ["cc"],
        }[target.family]
        for source in folder.glob("*.c"):
            subprocess.run(
                [
                    *compiler,
                    *("-Os", "-Wall", "-Wextra", "-Werror", "-std=gnu99", "-c"),
                    f"-I{folder.parent / 'source'}",
                    '-DSPJAX_HEADER="spjax_model.h"',
                    *(str(source), "-o", "/dev/null"),
                ],
                check=True,
            )
