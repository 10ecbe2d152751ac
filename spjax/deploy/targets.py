"""Targets: how a board's firmware is built and which emulator runs it.

Memory maps are the chips' own, from their data sheets; the lengths are those of the
board (`spjax.deploy.boards`), so that the linker refuses what the chip has no room for.

================  ==========  ===============  =====================  ============
board             compiler    cpu              emulator, machine      flash origin
================  ==========  ===============  =====================  ============
uno               avr-gcc     atmega328p       simavr, atmega328p     0
microbit          arm-none-   cortex-m0        QEMU, microbit         0
stm32vldiscovery  eabi-gcc    cortex-m3        QEMU, same name        0x08000000
netduinoplus2     (all Arm)   cortex-m4        QEMU, same name        0x08000000
host              cc          this machine's   none                   none
================  ==========  ===============  =====================  ============
"""

import dataclasses
from typing import Any

from spjax.deploy.boards import Board, BoardError

ARM, AVR, HOST = "arm", "avr", "host"

# The computer that spjax runs on: for comparisons, not for a search.
HOST_BOARD = Board("host", "this computer", "host", 2**30, 2**30, None)


@dataclasses.dataclass(frozen=True)
class Target:
    """How firmware for a board is built and run.

    Attributes:
      family: ``arm``, ``avr`` or ``host``.
      cpu: what the compiler calls the processor.
      machine: what the emulator calls it.
      flash_origin: first address of the flash.
      ram_origin: first address of the RAM, as the linker counts.
      stack_bytes: bytes below the end of the RAM that the linker keeps free of static
        data; more may be needed, which a run measures.
    """

    family: str
    cpu: str
    machine: str
    flash_origin: int
    ram_origin: int
    stack_bytes: int


TARGETS = {
    # The linker tells AVR's address spaces apart by these bits of an address.
    "uno": Target(AVR, "atmega328p", "atmega328p", 0, 0x800100, 320),
    "microbit": Target(ARM, "cortex-m0", "microbit", 0, 0x2000_0000, 640),
    "stm32vldiscovery": Target(
        ARM, "cortex-m3", "stm32vldiscovery", 0x0800_0000, 0x2000_0000, 640
    ),
    "netduinoplus2": Target(
        ARM, "cortex-m4", "netduinoplus2", 0x0800_0000, 0x2000_0000, 640
    ),
    "host": Target(HOST, "native", "", 0, 0, 0),
}


def get_target(board: Board) -> Target:
    """How firmware for a board is built and run.

    Args:
      board: one of `BOARDS` or `HOST_BOARD`; its limits may differ from the chip's.

    Raises:
      BoardError: if spjax cannot build for a board of that name.
    """
    if board.name in TARGETS:
        return TARGETS[board.name]
    raise BoardError(
        f"--board={board.name}: spjax builds no firmware for it; "
        f"use one of {', '.join(TARGETS)}"
    )


def limits(board: Board) -> dict[str, Any]:
    """The board's memory map, by the names that the linker scripts use."""
    target = get_target(board)
    return {
        "FLASH_ORIGIN": target.flash_origin,
        "FLASH_BYTES": board.flash_bytes,
        "RAM_ORIGIN": target.ram_origin,
        "RAM_BYTES": board.ram_bytes,
        "STACK_BYTES": target.stack_bytes,
    }
