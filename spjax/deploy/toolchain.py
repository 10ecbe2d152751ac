"""Compilers: which ones a board needs, and a firmware built with them.

The linker gets the chip's own flash and RAM, and how much of the RAM must stay free for
the stack; what does not fit does not link. No C library is linked on Arm.
"""

import dataclasses
import os
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from spjax.deploy import firmware_arm, firmware_avr, firmware_host
from spjax.deploy.boards import Board
from spjax.deploy.elf import occupied, read_elf
from spjax.deploy.targets import ARM, AVR, HOST, get_target, limits

_WARNINGS = ("-Wall", "-Wextra")
# What linkers say of a firmware beyond the limits; it differs between versions.
_TOO_LARGE = (
    "overflowed by",
    "will not fit in region",
    "is not within region",
    "no room for the stack",
)
_NO_LIMITS = {
    ARM: {"flash_bytes": 1 << 27, "ram_bytes": 1 << 27},
    AVR: {"flash_bytes": 8 << 20, "ram_bytes": 0xF000},
    HOST: {},
}
_SECTIONS = ("-ffunction-sections", "-fdata-sections")


class ToolchainError(ValueError):
    """A compiler that is missing, or that refuses a source."""


class DoesNotFit(ToolchainError):
    """A firmware that is too large for its board."""


@dataclasses.dataclass(frozen=True)
class Tool:
    """A program, or a header of C, and the Debian package that brings it."""

    package: str
    program: str
    header: str = ""


_HOST_TOOL = Tool("gcc", "cc")
TOOLS = {
    ARM: (
        Tool("gcc-arm-none-eabi", "arm-none-eabi-gcc"),
        Tool("qemu-system-arm", "qemu-system-arm"),
        _HOST_TOOL,
        Tool("libc6-dev", "cc", "stdio.h"),
    ),
    AVR: (
        Tool("gcc-avr", "avr-gcc"),
        Tool("avr-libc", "avr-gcc", "avr/io.h"),
        _HOST_TOOL,
        Tool("libc6-dev", "cc", "stdio.h"),
        Tool("libsimavr-dev", "cc", "simavr/sim_avr.h"),
    ),
    HOST: (_HOST_TOOL, Tool("libc6-dev", "cc", "stdio.h")),
}


@dataclasses.dataclass(frozen=True)
class Interface:
    """What a harness knows of a network's C.

    Attributes:
      header: file name of the header that declares ``spjax_predict_rows``.
      input_bytes: bytes of the image.
      output_bytes: bytes of the output.
    """

    header: str
    input_bytes: int
    output_bytes: int


@dataclasses.dataclass(frozen=True)
class Firmware:
    """A firmware that is built.

    Attributes:
      board: the board that it is for.
      elf: the file.
      objects: the compiled sources of the network, without harness and start-up.
      interface: of the network.
      commands: what built it, to be given in the file's folder.
    """

    board: Board
    elf: pathlib.Path
    objects: tuple[pathlib.Path, ...]
    interface: Interface
    commands: tuple[str, ...]


def missing_packages(board: Board) -> tuple[str, ...]:
    """Debian packages that have to be installed before firmware can be built and run.

    Args:
      board: the board.

    Raises:
      BoardError: if spjax cannot build for it.
    """
    tools = TOOLS[get_target(board).family]
    return tuple(dict.fromkeys(t.package for t in tools if not _is_there(t)))


def require_tools(board: Board) -> None:
    """Checks that firmware for a board can be built and run here.

    Raises:
      BoardError: if spjax cannot build for it.
      ToolchainError: naming what to install.
    """
    missing = missing_packages(board)
    if missing:
        raise ToolchainError(
            f"--board={board.name} needs programs that are not installed: on Debian or "
            f"Ubuntu, apt-get install --no-install-recommends {' '.join(missing)}"
        )


def _is_there(tool: Tool) -> bool:
    if shutil.which(tool.program) is None:
        return False
    if not tool.header:
        return True
    command = [tool.program, "-E", "-x", "c", "-include", tool.header, os.devnull]
    if tool.package == "avr-libc":
        command.insert(1, "-mmcu=atmega328p")
    return subprocess.run(command, capture_output=True).returncode == 0


def harness_sources(board: Board) -> Mapping[str, str]:
    """Files of the test harness for a board: name -> text."""
    family = get_target(board).family
    if family == AVR:
        return {
            "harness.c": firmware_avr.HARNESS,
            "board.ld": firmware_avr.LINKER_SCRIPT,
        }
    if family == ARM:
        return {
            "harness.c": firmware_arm.HARNESS,
            "startup.c": firmware_arm.STARTUP,
            "memory.c": firmware_arm.MEMORY,
            "board.ld": firmware_arm.LINKER_SCRIPT,
        }
    return {"harness.c": firmware_host.HARNESS}


def build_firmware(
    board: Board,
    sources: Sequence[pathlib.Path],
    interface: Interface,
    folder: pathlib.Path,
    *,
    optimise: str = "s",
    flags: Sequence[str] = (),
) -> Firmware:
    """Builds a network's C with the test harness for a board.

    Args:
      board: the board; its limits are the linker's.
      sources: the network's ``.c`` files; headers are looked for beside them.
      interface: of the network.
      folder: where objects, the harness and ``firmware.elf`` go; made if missing.
      optimise: after ``-O``.
      flags: more flags of the compiler, for the network's sources alone.

    Returns:
      The firmware.

    Raises:
      DoesNotFit: if the board has no room for it.
      ToolchainError: if the compiler is missing or refuses a source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = harness_sources(board)
    for name, text in files.items():
        (folder / name).write_text(text)
    compiler = [*_compiler(board), f"-O{optimise}", *_WARNINGS, *_SECTIONS]
    paths = [pathlib.Path(os.path.relpath(source, folder)) for source in sources]
    includes = [f"-I{path}" for path in sorted({str(path.parent) for path in paths})]
    network = [*compiler, "-std=c99", *flags, *includes]
    # Without the last flag gcc turns the loop of memcpy into a call of memcpy.
    support = [*compiler, "-std=gnu99", "-fno-tree-loop-distribute-patterns"]
    support += [f'-DSPJAX_HEADER="{interface.header}"', *includes]
    own = [pathlib.Path(name) for name in files if name.endswith(".c")]
    commands = [
        [*flags_, "-c", str(path), "-o", f"{path.stem}.o"]
        for flags_, many in ((network, paths), (support, own))
        for path in many
    ]
    for command in commands:
        _run(command, folder)
    objects = [command[-1] for command in commands]
    link = _link_command(board, optimise, objects)
    elf = folder / "firmware.elf"
    try:
        _run(link, folder)
    except ToolchainError as error:
        # The linker leaves what it could not finish.
        elf.unlink(missing_ok=True)
        if not any(words in str(error) for words in _TOO_LARGE):
            raise
        raise _too_large(board, optimise, objects, folder) from error
    made = tuple(folder / name for name in objects[: len(paths)])
    words = tuple(shlex.join(command) for command in (*commands, link))
    return Firmware(board, elf, made, interface, words)


def _link_command(
    board: Board, optimise: str, objects: Sequence[str], elf: str = "firmware.elf"
) -> list[str]:
    arm = get_target(board).family == ARM
    command = [*_compiler(board), f"-O{optimise}", "-Wl,--gc-sections"]
    command += [*_link_flags(board), *objects, *(["-lgcc"] if arm else [])]
    return [*command, "-o", elf]


def _too_large(
    board: Board, optimise: str, objects: Sequence[str], folder: pathlib.Path
) -> DoesNotFit:
    """Says how much would be needed, as measured without the board's limits."""
    roomy = dataclasses.replace(board, **_NO_LIMITS[get_target(board).family])
    elf = folder / "roomy.elf"
    try:
        _run(_link_command(roomy, optimise, objects, elf.name), folder)
        flash, ram = occupied(read_elf(elf))
        stack = get_target(board).stack_bytes
        needs = (
            f"{flash} bytes of flash and {ram} of static RAM + {stack} for the stack"
        )
    except ToolchainError:
        needs = "more than its chip can address"
    finally:
        elf.unlink(missing_ok=True)
    return DoesNotFit(
        f"--board={board.name}: the firmware needs {needs}; the board has "
        f"{board.flash_bytes} of flash and {board.ram_bytes} of RAM: choose a smaller "
        "network or a larger board"
    )


def _compiler(board: Board) -> list[str]:
    target = get_target(board)
    if target.family == AVR:
        clock = f"-DF_CPU={board.clock_hz}UL"
        return ["avr-gcc", f"-mmcu={target.cpu}", clock]
    if target.family == ARM:
        machine = [f"-mcpu={target.cpu}", "-mthumb", "-mfloat-abi=soft"]
        return ["arm-none-eabi-gcc", *machine, "-ffreestanding"]
    return ["cc"]


def _link_flags(board: Board) -> list[str]:
    family = get_target(board).family
    if family == HOST:
        return []
    flags = [f"-Wl,--defsym={name}={value}" for name, value in limits(board).items()]
    if family == ARM:
        return ["-nostartfiles", "-nostdlib", "-T", "board.ld", *flags]
    flags += [
        f"-Wl,--defsym=__TEXT_REGION_LENGTH__={board.flash_bytes}",
        f"-Wl,--defsym=__DATA_REGION_LENGTH__={board.ram_bytes}",
    ]
    return [*flags, "board.ld"]


def _run(command: Sequence[str], folder: pathlib.Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ToolchainError(f"{command[0]} is not installed") from error
    if done.returncode == 0:
        return
    lines = done.stderr.strip().splitlines()
    telling = [
        line
        for line in lines
        if "error" in line.lower() or any(words in line for words in _TOO_LARGE)
    ]
    what = (telling or lines or ["no message"])[0]
    raise ToolchainError(f"{command[0]} failed: {what}")
