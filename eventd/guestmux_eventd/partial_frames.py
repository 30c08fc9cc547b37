"""Bounds what eventd keeps of frames that agents have begun and not ended."""

from __future__ import annotations

from collections import Counter
from typing import Final

from guestmux_protocol.mux import Frame, Multiplexer, MuxError, MuxLimits

SMALL: Final = 1 << 20
"""Bytes of one unfinished frame that are not counted: what is usual stays cheap."""

MAX_PARTIAL: Final = 96 << 20
"""Bytes of unfinished frames of one user's agents: one of the largest results and a half."""


class PartialFrames:
    """What each user's agents have begun.

    Args:
        most: bytes that may be.
    """

    def __init__(self, most: int = MAX_PARTIAL) -> None:
        self._most = most
        self._bytes: Counter[int] = Counter()

    def __repr__(self) -> str:
        return f"<PartialFrames {dict(self._bytes)}>"

    def change(self, uid: int, difference: int) -> None:
        """Count bytes of an unfinished frame, or count them no more.

        Raises:
            MuxError: there are more, and too many; never where there are fewer.
        """
        self._bytes[uid] += difference
        if difference > 0 and self._bytes[uid] > self._most:
            raise MuxError(f"this user's agents began frames of more than {self._most} bytes and ended none")
        if not self._bytes[uid]:
            del self._bytes[uid]


class BoundedMultiplexer(Multiplexer):
    """An agent's connection, whose unfinished frames count together with those of the user's others.

    Args:
        limits: what is taken from the agent.
        frames: the count.
        uid: the user.
    """

    def __init__(self, limits: MuxLimits, frames: PartialFrames, uid: int) -> None:
        super().__init__("asker", limits)
        self._frames = frames
        self._uid = uid
        self._counted = 0

    def receive(self, data: bytes) -> list[Frame]:
        """As `Multiplexer.receive`."""
        frames = super().receive(data)
        partial = self.partial
        if partial > SMALL or self._counted:
            self._count(partial if partial > SMALL else 0)
        return frames

    def forget(self) -> None:
        """The connection is over."""
        self._count(0)

    def _count(self, partial: int) -> None:
        difference, self._counted = partial - self._counted, partial
        self._frames.change(self._uid, difference)
