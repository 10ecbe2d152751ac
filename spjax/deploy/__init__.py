"""Deploy: the boards that a network is searched for."""

from spjax.deploy.boards import BOARDS, Board, BoardError, custom_board, get_board
from spjax.deploy.elf import Elf, ElfError, read_elf
from spjax.deploy.emulate import (
    EmulationError,
    Emulator,
    Run,
    make_emulator,
    run_firmware,
)
from spjax.deploy.measure import (
    Footprint,
    estimated_cycles,
    estimated_seconds,
    footprint,
)
from spjax.deploy.targets import HOST_BOARD, TARGETS, Target, get_target
from spjax.deploy.toolchain import (
    DoesNotFit,
    Firmware,
    Interface,
    ToolchainError,
    build_firmware,
    missing_packages,
    require_tools,
)

__all__ = [
    "BOARDS",
    "HOST_BOARD",
    "TARGETS",
    "Board",
    "BoardError",
    "DoesNotFit",
    "Elf",
    "ElfError",
    "EmulationError",
    "Emulator",
    "Firmware",
    "Footprint",
    "Interface",
    "Run",
    "Target",
    "ToolchainError",
    "build_firmware",
    "custom_board",
    "estimated_cycles",
    "estimated_seconds",
    "footprint",
    "get_board",
    "get_target",
    "make_emulator",
    "missing_packages",
    "read_elf",
    "require_tools",
    "run_firmware",
]
