"""Emulators: a firmware run on real images, without the board.

========  =====================================  ==================================
family    runs on                                counts
========  =====================================  ==================================
arm       qemu-system-arm, files by semihosting  instructions, data accesses, taken
                                                 branches, by a plugin of ours
avr       libsimavr, pixels by the serial line   cycles
host      the computer itself                    nothing
========  =====================================  ==================================

QEMU knows no cycles: figures of time on Arm are estimates (`spjax.deploy.measure`).
"""

import dataclasses
import pathlib
import re
import struct
import subprocess
from collections.abc import Sequence

import numpy as np

from spjax.deploy import plugin_qemu, runner_avr
from spjax.deploy.boards import Board
from spjax.deploy.elf import read_elf
from spjax.deploy.targets import ARM, AVR, get_target
from spjax.deploy.toolchain import Firmware, ToolchainError, require_tools

_FAULTS = {
    81: "the harness could not open its files",
    82: "the file of images is too short",
    86: "the processor took a fault: a bug, or a stack that ran out of RAM",
}
_AVR_RAM_START = 0x800000


class EmulationError(ValueError):
    """A firmware that does not run to its end."""


@dataclasses.dataclass(frozen=True)
class Emulator:
    """An emulator for a board, with our helper for it.

    Attributes:
      board: the board.
      helper: the compiled plugin or runner; None for the host.
    """

    board: Board
    helper: pathlib.Path | None


@dataclasses.dataclass(frozen=True)
class Run:
    """What a firmware did with images.

    Attributes:
      outputs: int8 [images, output bytes].
      returned: what ``spjax_predict_rows`` returned, int32 [images].
      stack_bytes: the stack's high-water mark in bytes, harness included; None on the
        host.
      stack_room_bytes: bytes between static data and the end of the RAM.
      cycles: cycles of computing, int64 [images], on AVR; else None.
      cycles_with_line: the same with the wait for the serial line; on AVR.
      instructions: instructions, int64 [counted images], on Arm; else None.
      accesses: loads and stores, likewise.
      branches: taken branches, likewise.
    """

    outputs: np.ndarray
    returned: np.ndarray
    stack_bytes: int | None = None
    stack_room_bytes: int | None = None
    cycles: np.ndarray | None = None
    cycles_with_line: np.ndarray | None = None
    instructions: np.ndarray | None = None
    accesses: np.ndarray | None = None
    branches: np.ndarray | None = None


def make_emulator(board: Board, folder: pathlib.Path) -> Emulator:
    """Compiles our helper for a board's emulator.

    Args:
      board: the board.
      folder: where the helper goes; made if missing.

    Raises:
      BoardError: if spjax cannot build for that board.
      ToolchainError: if something has to be installed first.
    """
    require_tools(board)
    family = get_target(board).family
    folder.mkdir(parents=True, exist_ok=True)
    source, helper = folder / f"helper_{family}.c", folder / f"helper_{family}"
    if family == AVR:
        source.write_text(runner_avr.SOURCE)
        flags = ["-lsimavr"]
    elif family == ARM:
        source.write_text(plugin_qemu.SOURCE)
        version = 1 if _qemu_version() < 9 else 2
        flags = ["-shared", "-fPIC", f"-DPLUGIN_VERSION={version}"]
    else:
        return Emulator(board, None)
    done = subprocess.run(
        ["cc", "-O2", "-std=gnu99", str(source), *flags, "-o", str(helper)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ToolchainError(f"cc cannot build {source.name}: {done.stderr.strip()}")
    return Emulator(board, helper)


def _qemu_version() -> int:
    text = subprocess.run(
        ["qemu-system-arm", "--version"], capture_output=True, text=True
    ).stdout
    found = re.search(r"version (\d+)", text)
    return int(found.group(1)) if found else 0


def run_firmware(
    emulator: Emulator,
    firmware: Firmware,
    images: np.ndarray,
    *,
    counted: int = 2,
    seconds: float = 600.0,
) -> Run:
    """Runs a firmware on images.

    Args:
      emulator: for the firmware's board.
      firmware: the firmware.
      images: int8 [N, ...], each of the network's input bytes.
      counted: Arm: on how many of them instructions are counted, which is slow. AVR
        counts cycles on all.
      seconds: time that the emulator may take.

    Returns:
      What it did.

    Raises:
      EmulationError: if it crashes, takes too long, or leaves no stack.
    """
    interface = firmware.interface
    size = interface.input_bytes
    if images.dtype != np.int8 or images.size != len(images) * size or not len(images):
        raise EmulationError(
            f"images are {images.dtype}{list(images.shape)}; the firmware takes int8 "
            f"of {size} bytes each, at least one"
        )
    images = np.ascontiguousarray(images).reshape(-1, size)
    family = get_target(firmware.board).family
    if family == AVR:
        result = _run_avr(emulator, firmware, images, seconds)
    elif family == ARM:
        result = _run_arm(emulator, firmware, images, counted, seconds)
    else:
        _write_images(firmware, images)
        command = [str(firmware.elf.resolve()), "images.bin", "outputs.bin"]
        _finished(command, firmware, seconds)
        result, _ = _read_results(firmware, len(images), 0)
    if result.stack_room_bytes and result.stack_bytes >= result.stack_room_bytes:
        raise EmulationError(
            f"--board={firmware.board.name}: the stack used up all "
            f"{result.stack_room_bytes} bytes that static RAM leaves; choose a smaller "
            "network or a larger board"
        )
    return result


def _run_arm(emulator, firmware, images, counted, seconds):
    _write_images(firmware, images)
    command = _qemu_command(firmware)
    _finished(command, firmware, seconds)
    result, stack = _read_results(firmware, len(images), 8)
    used, room = struct.unpack("<2I", stack)
    result = dataclasses.replace(result, stack_bytes=used, stack_room_bytes=room)
    if not counted or emulator.helper is None:
        return result
    counts = firmware.elf.with_name("counts.bin")
    _write_images(firmware, images[:counted])
    plugin = ["-plugin", f"{emulator.helper.resolve()},out={counts.name}"]
    _finished([*command, *plugin], firmware, seconds)
    counts = np.fromfile(counts, "<u8").reshape(-1, 3).astype(np.int64)
    return dataclasses.replace(
        result,
        instructions=counts[:, 0],
        accesses=counts[:, 1],
        branches=counts[:, 2],
    )


def _qemu_command(firmware: Firmware) -> list[str]:
    machine = get_target(firmware.board).machine
    quiet = ["-display", "none", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    kernel = ["-kernel", firmware.elf.name]
    return ["qemu-system-arm", "-M", machine, *quiet, *semihosting, *kernel]


def _write_images(firmware: Firmware, images: np.ndarray) -> None:
    path = firmware.elf.with_name("images.bin")
    path.write_bytes(struct.pack("<I", len(images)) + images.tobytes())


def _read_results(firmware: Firmware, count: int, trailer: int) -> tuple[Run, bytes]:
    outputs = firmware.interface.output_bytes
    record = np.dtype([("returned", "<i4"), ("outputs", "i1", (outputs,))])
    data = firmware.elf.with_name("outputs.bin").read_bytes()
    if len(data) != count * record.itemsize + trailer:
        raise EmulationError(
            f"--board={firmware.board.name}: the firmware wrote {len(data)} bytes "
            f"instead of {count * record.itemsize + trailer}"
        )
    rows = np.frombuffer(data, record, count)
    run_ = Run(rows["outputs"].copy(), rows["returned"].copy())
    return run_, data[len(data) - trailer :]


def _run_avr(emulator, firmware, images, seconds):
    folder, interface = firmware.elf.parent, firmware.interface
    (folder / "images.bin").write_bytes(images.tobytes())
    heap = read_elf(firmware.elf).address("_end") - _AVR_RAM_START
    command = [
        str(emulator.helper.resolve()),
        firmware.elf.name,
        get_target(firmware.board).machine,
        str(firmware.board.clock_hz),
        str(heap),
        str(interface.output_bytes),
        "images.bin",
        "outputs.bin",
    ]
    _finished(command, firmware, seconds)
    record = np.dtype(
        [
            ("returned", "<i2"),
            ("outputs", "i1", (interface.output_bytes,)),
            ("cycles", "<u8"),
            ("both", "<u8"),
        ]
    )
    data = (folder / "outputs.bin").read_bytes()
    if len(data) != len(images) * record.itemsize + 24:
        raise EmulationError(
            f"--board={firmware.board.name}: the firmware answered "
            f"{(len(data) - 24) // record.itemsize} of {len(images)} images"
        )
    rows = np.frombuffer(data, record, len(images))
    used, room, ram = struct.unpack("<3Q", data[-24:])
    return Run(
        outputs=rows["outputs"].copy(),
        returned=rows["returned"].astype(np.int32),
        stack_bytes=used,
        # A board whose RAM was set smaller than the chip's has less room.
        stack_room_bytes=room - (ram - min(ram, firmware.board.ram_bytes)),
        cycles=rows["cycles"].astype(np.int64),
        cycles_with_line=rows["both"].astype(np.int64),
    )


def _finished(command: Sequence[str], firmware: Firmware, seconds: float) -> None:
    name = firmware.board.name
    try:
        done = subprocess.run(
            command,
            cwd=firmware.elf.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise EmulationError(
            f"--board={name}: {pathlib.Path(command[0]).name} took more than "
            f"{seconds:g} seconds; run fewer images"
        ) from error
    if done.returncode == 0:
        return
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    reason = _FAULTS.get(done.returncode) or (lines[0] if lines else "no message")
    raise EmulationError(
        f"--board={name}: the firmware failed on "
        f"{pathlib.Path(command[0]).name} (status {done.returncode}: {reason})"
    )
