"""Boards: how much RAM and flash a network may take, and on which chip.

Figures are the chips' totals from their data sheets, in bytes: a program's own stack,
variables and code have to fit beside the network. (The STM32F405RG has 64 KB more that
only its core can reach; they are not counted.)

=================  ===============================  =========  ===========  ======
board              chip and core                    RAM bytes  flash bytes  MHz
=================  ===============================  =========  ===========  ======
uno                Microchip ATmega328P, AVR 8-bit      2,048       32,768      16
microbit           Nordic nRF51822, Cortex-M0          16,384      262,144      16
stm32vldiscovery   ST STM32F100RB, Cortex-M3            8,192      131,072      24
netduinoplus2      ST STM32F405RG, Cortex-M4          131,072    1,048,576     168
=================  ===============================  =========  ===========  ======
"""

import dataclasses
import difflib


class BoardError(ValueError):
    """An unknown board or a limit that is no positive number of bytes."""


@dataclasses.dataclass(frozen=True)
class Board:
    """A microcontroller board.

    Attributes:
      name: what ``--board`` takes.
      chip: the microcontroller.
      core: its processor core.
      ram_bytes: RAM, in bytes.
      flash_bytes: flash, in bytes.
      clock_hz: clock frequency in hertz; None where it is not known.
    """

    name: str
    chip: str
    core: str
    ram_bytes: int
    flash_bytes: int
    clock_hz: int | None

    def __post_init__(self):
        for field in ("ram_bytes", "flash_bytes", "clock_hz"):
            value = getattr(self, field)
            if field == "clock_hz" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
                raise BoardError(
                    f"--{field}={value} (board {self.name}): must be a whole number "
                    "above 0"
                )


_BOARDS = (
    Board("uno", "ATmega328P", "AVR 8-bit", 2_048, 32_768, 16_000_000),
    Board("microbit", "nRF51822", "Cortex-M0", 16_384, 262_144, 16_000_000),
    Board("stm32vldiscovery", "STM32F100RB", "Cortex-M3", 8_192, 131_072, 24_000_000),
    Board("netduinoplus2", "STM32F405RG", "Cortex-M4", 131_072, 2**20, 168_000_000),
)
BOARDS = {board.name: board for board in _BOARDS}


def get_board(name: str) -> Board:
    """Returns the board of that name.

    Raises:
      BoardError: if no board has it; the message lists those that exist.
    """
    if name in BOARDS:
        return BOARDS[name]
    close = difflib.get_close_matches(str(name).lower(), BOARDS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise BoardError(
        f"--board={name}: no such board; {hint}Known: {', '.join(BOARDS)}; or pass "
        "--ram_bytes and --flash_bytes"
    )


def custom_board(ram_bytes: int, flash_bytes: int) -> Board:
    """Returns a board that is known by its limits alone, in bytes.

    Raises:
      BoardError: if a limit is no whole number above 0.
    """
    return Board("custom", "unknown", "unknown", ram_bytes, flash_bytes, None)
