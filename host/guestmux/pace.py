"""How much to ask of a guest at once: much where the way is fast, little where it is slow."""

from __future__ import annotations

from collections.abc import Callable

FIRST = 256 * 1024
"""Bytes of the first piece: half a minute, the deadline of a call, even at 10 kB/s."""

LEAST = 4 * 1024
"""Bytes of the smallest piece; below that the overhead is most of it."""

MOST_IN_ORDER = 1024 * 1024
"""Bytes of a piece where other calls wait behind it; libvirt takes no reply over 10 MiB."""

MOST_CONCURRENT = 2 * 1024 * 1024
"""Bytes of a piece on a `qmp` port: larger ones were not faster."""

TOO_SHORT = 0.2
"""Seconds below which the next piece is twice as large: a progress bar still moves five times a second."""

TOO_LONG = 1.0
"""Seconds above which the next piece is half as large."""


class Pace:
    """The size of the next piece of a file.

    Args:
        concurrent: whether other calls overtake this one.
        clock: seconds.

    Attributes:
        size: bytes of the next piece.
    """

    def __init__(self, *, concurrent: bool, clock: Callable[[], float]) -> None:
        self.size = FIRST
        self._most = MOST_CONCURRENT if concurrent else MOST_IN_ORDER
        self._clock = clock
        self._begun = 0.0

    def begin(self) -> int:
        """Note the time, and give the size."""
        self._begun = self._clock()
        return self.size

    def end(self, count: int) -> None:
        """Learn from a piece of `count` bytes that took until now."""
        took = self._clock() - self._begun
        if took > TOO_LONG:
            self.size = max(self.size // 2, LEAST)
        elif took < TOO_SHORT and count >= self.size:
            self.size = min(self.size * 2, self._most)
