"""What one stream has to send: large pieces as they came, small ones in one frame."""

from __future__ import annotations

from collections import deque
from typing import Final

SMALL: Final = 4096
"""Pieces below this are put together: a frame and a turn for every key pressed cost more than the copy."""


class StreamQueue:
    """A queue of bytes that gives them in frames."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes | bytearray | memoryview] = deque()
        self.size = 0

    def add(self, data: bytes | memoryview) -> None:
        """Append bytes, which must not change afterwards."""
        self.size += len(data)
        if len(data) >= SMALL:
            self._pieces.append(data)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray) and len(last) < SMALL:
            last += data
        else:
            self._pieces.append(bytearray(data))

    def take(self, most: int) -> bytes | bytearray | memoryview:
        """The next bytes, at most `most`; there must be some."""
        piece = self._pieces.popleft()
        if len(piece) > most:
            rest = memoryview(piece)
            self._pieces.appendleft(rest[most:])
            piece = rest[:most]
        self.size -= len(piece)
        return piece

    def clear(self) -> None:
        """Throw everything away."""
        self._pieces.clear()
        self.size = 0
