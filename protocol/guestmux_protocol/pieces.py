"""A long text that comes in pieces, put together once."""

from __future__ import annotations

LARGE = 4096
"""Bytes from which on a piece is kept as it came: beside so many, what Python adds to each is little."""


class Pieces:
    """What came so far. A bytearray would copy all of it again and again while it grows."""

    __slots__ = ("_large", "_size", "_small")

    def __init__(self) -> None:
        self._large: list[bytes] = []
        self._small = bytearray()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, piece: bytes) -> None:
        """Take what comes next."""
        self._size += len(piece)
        if len(piece) < LARGE:
            self._small += piece
        if len(piece) >= LARGE or len(self._small) >= LARGE:
            self._seal()
        if len(piece) >= LARGE:
            self._large.append(piece)

    def text(self) -> bytes:
        """All of it."""
        self._seal()
        if len(self._large) != 1:
            self._large = [b"".join(self._large)]
        return self._large[0]

    def _seal(self) -> None:
        """Small pieces are one large one from here on."""
        if self._small:
            self._large.append(bytes(self._small))
            self._small.clear()
