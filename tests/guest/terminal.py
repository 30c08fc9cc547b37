"""A terminal of the guest, with the test at the keyboard."""

import os
import select
import termios
import time
from collections.abc import Callable

POLL_SECONDS = 0.02


class TerminalError(Exception):
    """The terminal does not show what it should."""


class Terminal:
    """The outer end of a terminal: of a pty, or of a serial line.

    Args:
        fd: to read and write; taken over.
        tty: the inner end's name in the guest, as "pts/3".
        getty: the unit that asks for a name and a password there.
        seconds: time that a text has to appear.
        more: the guest's last words, for an error.

    Attributes:
        closed: whether it was hung up.
    """

    def __init__(self, fd: int, tty: str, getty: str, seconds: float, more: Callable[[], str]) -> None:
        self._fd = fd
        self._seconds = seconds
        self._more = more
        self.tty = tty
        self.getty = getty
        self.closed = False

    def type(self, line: str) -> None:
        """Type a line and press return."""
        os.write(self._fd, line.encode() + b"\n")

    def expect(self, *texts: str) -> str:
        """Read until the terminal shows one of some texts; gives the one.

        Raises:
            TerminalError: it shows none of them.
        """
        shown = b""
        deadline = time.monotonic() + self._seconds
        while time.monotonic() < deadline:
            shown += self._read(deadline)
            for text in texts:
                if text.encode() in shown:
                    return text
        raise TerminalError(f"{self.tty} does not show {texts}; it shows {shown!r}{self._more()}")

    def _read(self, deadline: float) -> bytes:
        if not select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return b""
        try:
            return os.read(self._fd, 4096)
        except OSError:
            # EIO: nobody has the inner end of a pty open. systemd closes it a few times before getty comes.
            time.sleep(POLL_SECONDS)
            return b""

    def raw(self) -> None:
        """Pass bytes as they are, for use of a pty as a port rather than by a person."""
        attributes = termios.tcgetattr(self._fd)
        attributes[:4] = [0, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0]
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        os.close(self._fd)
