"""Measurements: what a firmware takes of flash and RAM, and how long it may run.

Flash is split by the symbols of the linked file: the arrays of encoded weights, other
constants of the network, the network's functions; the rest (start-up, harness,
the compiler's helpers, alignment) is called support. Static RAM is what the sections of
data and of zeroed data take, stack not counted.

Time on a Cortex-M is an *estimate*: QEMU counts instructions, not cycles. Taken from
Arm's technical reference manuals: an instruction takes a cycle, a load or store of a
word one more, a taken branch two more (the pipeline refills); a slow flash is not
counted. AVR cycles are the emulator's, which follow the data sheet.
"""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from spjax.deploy import elf
from spjax.deploy.emulate import Run
from spjax.deploy.toolchain import Firmware

ARENA = "spjax_arena"

_BRANCH_CYCLES = 2


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Bytes that a firmware takes, stack not counted.

    Attributes:
      flash_bytes: all of it: code, constants, initial values of data.
      constants: bytes of each constant of the network, by its symbol.
      weight_bytes: of them, encoded weights.
      code_bytes: the network's functions.
      static_ram_bytes: data and zeroed data.
      arena_bytes: the network's working memory, a part of static RAM.
    """

    flash_bytes: int
    constants: Mapping[str, int]
    weight_bytes: int
    code_bytes: int
    static_ram_bytes: int
    arena_bytes: int

    @property
    def constant_bytes(self) -> int:
        """Flash of the network's constants that are no encoded weights."""
        return sum(self.constants.values()) - self.weight_bytes

    @property
    def support_bytes(self) -> int:
        """Flash of start-up, harness, compiler's helpers and alignment."""
        return self.flash_bytes - sum(self.constants.values()) - self.code_bytes


def footprint(firmware: Firmware, weights: Collection[str]) -> Footprint:
    """Measures a firmware in its linked file.

    Args:
      firmware: the firmware.
      weights: symbols of the network's constants that hold encoded weights.

    Returns:
      Its bytes.

    Raises:
      ElfError: if the file cannot be read, or has no arena.
    """
    linked = elf.read_elf(firmware.elf)
    network = set()
    for path in firmware.objects:
        symbols = elf.read_elf(path).symbols
        network |= {s.name for s in symbols if s.section and s.size}
    flash, ram = elf.occupied(linked)
    in_ram = {i for i, section in enumerate(linked.sections) if elf.in_ram(section)}
    code, arena, constants = 0, None, {}
    # Two names of one place count once.
    places = {(s.value, s.size): s for s in linked.symbols if s.name in network}
    for symbol in places.values():
        if symbol.name == ARENA:
            arena = symbol.size
        elif symbol.section in in_ram:
            continue
        elif symbol.kind == elf.FUNCTION:
            code += symbol.size
        else:
            constants[symbol.name] = constants.get(symbol.name, 0) + symbol.size
    if arena is None:
        raise elf.ElfError(f"{firmware.elf} has no symbol {ARENA}")
    return Footprint(
        flash_bytes=flash,
        constants=constants,
        weight_bytes=sum(constants[name] for name in constants if name in weights),
        code_bytes=code,
        static_ram_bytes=ram,
        arena_bytes=arena,
    )


def estimated_cycles(run: Run) -> float | None:
    """Mean cycles of one inference: the emulator's on AVR, an estimate on Arm.

    Returns:
      Cycles; None if nothing was counted.
    """
    if run.cycles is not None:
        return float(np.mean(run.cycles))
    if run.instructions is None or not len(run.instructions):
        return None
    cycles = run.instructions + run.accesses + _BRANCH_CYCLES * run.branches
    return float(np.mean(cycles))


def estimated_seconds(run: Run, clock_hz: int | None) -> float | None:
    """Estimate of the seconds that one inference takes, the input's arrival aside.

    Args:
      run: with counts.
      clock_hz: the board's clock.

    Returns:
      Seconds; None if nothing was counted or the clock is not known.
    """
    cycles = estimated_cycles(run)
    return None if cycles is None or clock_hz is None else cycles / clock_hz
