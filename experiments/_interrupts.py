"""Ctrl-C and SIGTERM, neither lost nor in the middle of something.

Python raises KeyboardInterrupt wherever it happens to be. In the callback of a weak
reference or in a destructor, of which the libraries under us have many, it is printed
and dropped; between two writes it leaves half of a change. So a long loop asks, at the
places where it can stop. Whoever asks a second time is not made to wait.
"""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any


class Interrupts:
    """Turns signals into a KeyboardInterrupt at the right moment.

    A batch system's stop, SIGTERM, means what Ctrl-C means. Signals that the program
    was started to ignore (as under nohup) stay ignored.
    """

    def __init__(self) -> None:
        self._asked = False
        self._waits = False

    def install(self) -> None:
        """Takes the signals over; in the main thread only."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        show = sys.unraisablehook

        def hook(unraisable: Any) -> None:
            # One that Python drops is heard at the next `check`.
            if unraisable.exc_type is not KeyboardInterrupt:
                show(unraisable)

        sys.unraisablehook = hook

    def check(self) -> None:
        """Raises KeyboardInterrupt if an interrupt was asked for."""
        if self._asked:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside, the first interrupt waits for the next `check`; a second does not."""
        self.check()
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self._asked = self._asked, True
        if again or not self._waits:
            raise KeyboardInterrupt
