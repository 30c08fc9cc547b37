"""The terminal that the command line runs in: raw while one in the guest is shown, and as it was afterwards."""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from guestmux.process import TerminalSize

ESCAPE = b"\x1d"
"""Ctrl-], which ends it when it is pressed three times, as with systemd-run and machinectl."""

ESCAPES = 3
ESCAPE_SECONDS = 1.0
"""Seconds in which they are pressed."""


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Pass every key on as it is for as long as the block lasts; does nothing where it is no terminal."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def terminal_size(descriptor: int) -> TerminalSize:
    """The size and kind of our terminal, or the usual ones where it is none."""
    usual = TerminalSize()
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        columns, rows = 0, 0
    kind = os.environ.get("TERM") or usual.type
    return TerminalSize(rows or usual.rows, columns or usual.columns, kind)


class EscapeKeys:
    """Notices when the escape is pressed often enough.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pressed: list[float] = []

    def feed(self, keys: bytes) -> bool:
        """Take keys; gives whether the escape is complete."""
        now = self._clock()
        for key in keys:
            if bytes([key]) != ESCAPE:
                self._pressed = []
                continue
            self._pressed = [*(time for time in self._pressed if now - time < ESCAPE_SECONDS), now]
            if len(self._pressed) >= ESCAPES:
                return True
        return False
