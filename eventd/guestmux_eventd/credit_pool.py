"""Bounds what eventd may have to keep for peers that grant credit and then do not read.

Credit goes from end to end: what a receiver grants, the sender may send, and until the receiver reads it lies here. A
window for each of a thousand streams would be a gigabyte. So each stream has its own little, which keeps it
going, and whatever is more comes out of a pool that all streams of a host share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from guestmux_protocol.mux import Multiplexer

POOL_BYTES: Final = 64 << 20
"""What all streams of a host may have beyond LEAST, in each direction: sixty-four whole windows. With less than what
a host's and an agent's own budget lets them ask for, every frame of a hundred streams would take a CREDIT."""

LEAST: Final = 64 * 1024
"""What each stream may have whatever the others do: one whole frame."""

WORTH: Final = 2
"""This part of a stream's share is worth a CREDIT where not all is passed on that was offered. With many streams a
CREDIT, and a wake-up, for each frame that went would cost as much as the frames."""


class CreditPool:
    """What the streams of one host share in one direction, equally.

    Args:
        size: bytes for all together.
        least: bytes that each has in any case, once it used up what it had.
        moved: told how many bytes were sent.

    Attributes:
        open: bytes that senders may send and have not.
        least: as given.
        moved: as given.
        ways: streams that share it.
    """

    def __init__(
        self, size: int = POOL_BYTES, least: int = LEAST, moved: Callable[[int], None] = lambda _count: None
    ) -> None:
        self.open = 0
        self.least = least
        self.moved = moved
        self.ways = 0
        self._size = size

    def __repr__(self) -> str:
        return f"<CreditPool {self.open}/{self._size}>"

    def room(self, sink: Multiplexer) -> int:
        """Bytes that may be passed on, beside what is open and what waits on its way out already."""
        return self._size - self.open - sink.pending

    def share(self) -> int:
        """Bytes that one stream may have open: whole frames, as a sender would cut its frames where credit ends."""
        share = self._size // max(1, self.ways)
        return max(self.least, share - share % self.least)


class CreditWay:
    """The credit of one direction of a stream, from the receiver to the sender.

    Args:
        pool: what is shared.
        sink: the connection to the receiver, where bytes wait that it does not read.
    """

    __slots__ = ("_ended", "_grant", "_held", "_open", "_pool", "_sink")

    def __init__(self, pool: CreditPool, sink: Multiplexer) -> None:
        self._pool = pool
        self._sink = sink
        self._held = 0
        self._open = 0
        self._grant: Callable[[int], None] | None = None
        self._ended = False
        pool.ways += 1

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
        self._pool.moved(count)
        if self._held:
            self._pass_on()

    def end(self) -> None:
        """Nothing more will be sent."""
        if not self._ended:
            self._ended = True
            self._pool.ways -= 1
        self._pool.open -= self._open
        self._open = self._held = 0
        self._grant = None

    def _pass_on(self) -> None:
        if self._grant is None:
            return
        pool, has = self._pool, self._open
        share = pool.share()
        count = min(self._held, max(pool.least - has, min(share - has, pool.room(self._sink))))
        if pool.least < count < self._held:
            count -= count % pool.least
        if count > 0 and (count == self._held or count >= share // WORTH or not has):
            self._held -= count
            self._open += count
            pool.open += count
            self._grant(count)
