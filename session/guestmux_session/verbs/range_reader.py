"""Reads ranges of a file one after the other, a piece at a time, and hashes them."""

from __future__ import annotations

import os

from guestmux_session.errors import CommandError
from guestmux_session.verbs.disk_threads import PIECE_BYTES
from guestmux_session.verbs.hashes import begun_hash
from guestmux_session.verbs.ranges import Range


class RangeReader:
    """The way through a file. Its calls may come from any thread, one at a time.

    Args:
        ranges: what to read.
        checksum: hash it, too.
        to_the_end: the file may end in a range, which is then all that there is; otherwise that is a failure.

    Attributes:
        count: bytes that were read.
    """

    def __init__(self, ranges: list[Range], *, checksum: bool, to_the_end: bool = False) -> None:
        self._ranges = ranges[::-1]
        self._hash = begun_hash(wanted=checksum)
        self._to_the_end = to_the_end
        self._done = 0
        self.count = 0

    def read(self, file: int) -> bytes:
        """Read the next piece; gives nothing at the end of the last range.

        Raises:
            CommandError: the file ends before a range does.
            OSError: it cannot be read.
        """
        pieces: list[bytes] = []
        room = PIECE_BYTES
        while room and (piece := self._read(file, room)):
            pieces.append(piece)
            room -= len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.count += len(data)
        if self._hash is not None:
            self._hash.update(data)
        return data

    def digest(self) -> str | None:
        """The checksum of what was read, where it was wanted."""
        return None if self._hash is None else self._hash.hexdigest()

    def _read(self, file: int, most: int) -> bytes:
        while self._ranges:
            offset, length = self._ranges[-1]
            if piece := os.pread(file, min(most, length - self._done), offset + self._done):
                self._done += len(piece)
                return piece
            if self._done < length and not self._to_the_end:
                raise CommandError(f"the file ends at {offset + self._done}, within what was asked for")
            self._ranges.pop()
            self._done = 0
        return b""
