"""Bytes that the kernel did not take yet: small writes in one piece, large ones as they are."""

from __future__ import annotations

OWN_PIECE = 32 * 1024
"""Bytes from which on a write is kept as it is: a port takes no more at a time. To copy large ones would take their
memory twice, and shrinking the copy as it is sent leaves the allocator with holes that stay."""


class Outbox:
    """A queue of bytes.

    Attributes:
        size: how many they are.
    """

    def __init__(self) -> None:
        self._pieces: list[bytearray | memoryview] = []  # few; an empty deque takes 760 bytes
        self.size = 0

    def add(self, data: memoryview) -> None:
        """Append bytes; a large piece must not change afterwards."""
        self.size += len(data)
        if len(data) >= OWN_PIECE:
            self._pieces.append(data)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray):
            last += data
        elif data:
            self._pieces.append(bytearray(data))

    def first(self) -> memoryview:
        """The first piece; to be released before the next call. There is one while there are bytes."""
        return memoryview(self._pieces[0])

    def drop(self, count: int) -> None:
        """Take bytes of the first piece away."""
        self.size -= count
        first = self._pieces[0]
        if count == len(first):
            self._pieces.pop(0)
        elif isinstance(first, bytearray):
            del first[:count]
        else:
            self._pieces[0] = first[count:]
