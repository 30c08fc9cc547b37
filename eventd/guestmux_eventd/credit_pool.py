"""Bounds what eventd may have to keep for peers that grant credit and then do not read.

Credit goes from end to end: what a receiver grants, the sender may send, and until the receiver reads it lies here. A
window for each of a thousand streams would be a gigabyte. So each stream has its own little at any time, which keeps
it going, and whatever is more comes out of a pool that all streams of a host share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from guestmux_protocol.mux import Multiplexer

POOL_BYTES: Final = 32 << 20
"""What all streams of a host may have beyond LEAST: some thirty whole windows."""

LEAST: Final = 64 * 1024
"""What each stream may have whatever the others do: one whole frame."""

STEPS: Final = 4
"""Less than this part of LEAST is not worth a CREDIT of its own, where more is to come."""


class CreditPool:
    """What the streams of one host share.

    Args:
        size: bytes for all together.
        least: bytes that each has in any case.

    Attributes:
        open: bytes that senders may send and have not.
        least: as given.
    """

    def __init__(self, size: int = POOL_BYTES, least: int = LEAST) -> None:
        self.open = 0
        self.least = least
        self._size = size

    def __repr__(self) -> str:
        return f"<CreditPool {self.open}/{self._size}>"

    def room(self, sink: Multiplexer) -> int:
        """Bytes that may be passed on, beside what is open and what waits on its way out already."""
        return self._size - self.open - sink.pending


class CreditWay:
    """The credit of one direction of a stream, from the receiver to the sender.

    Args:
        pool: what is shared.
        sink: the connection to the receiver, where bytes wait that it does not read.
    """

    __slots__ = ("_grant", "_held", "_open", "_pool", "_sink")

    def __init__(self, pool: CreditPool, sink: Multiplexer) -> None:
        self._pool = pool
        self._sink = sink
        self._held = 0
        self._open = 0
        self._grant: Callable[[int], None] | None = None

    def connect(self, grant: Callable[[int], None]) -> None:
        """The sender can be reached from now on."""
        self._grant = grant
        self._pass_on()

    def offer(self, count: int) -> None:
        """The receiver takes more."""
        self._held += count
        self._pass_on()

    def used(self, count: int) -> None:
        """The sender sent."""
        self._open -= count
        self._pool.open -= count
        if self._held:
            self._pass_on()

    def end(self) -> None:
        """Nothing more will be sent."""
        self._pool.open -= self._open
        self._open = self._held = 0
        self._grant = None

    def _pass_on(self) -> None:
        if self._grant is None:
            return
        room = max(self._pool.least - self._open, self._pool.room(self._sink))
        count = min(self._held, room)
        if count > 0 and count >= min(self._held, self._pool.least // STEPS):
            self._held -= count
            self._open += count
            self._pool.open += count
            self._grant(count)
