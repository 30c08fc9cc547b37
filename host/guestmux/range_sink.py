"""Bytes on their way into a file's ranges, or out of them; runs in threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence

from guestmux.copying import PIECE, CopyFailed
from guestmux.digest import new_digest
from guestmux.local_directory import translated
from guestmux.local_part import LocalPart
from guestmux.local_ranges import Range

NOT_TOLD = 1 << 62
"""The length of a range that ends where the file does."""


class RangeSink:
    """Writes what comes in order to the ranges that were asked for.

    Args:
        part: where to.
        ranges: the places; everything from the beginning on where None.
        checksum: take a checksum of it.

    Attributes:
        count: bytes that were written.
    """

    def __init__(self, part: LocalPart, ranges: Sequence[Range] | None, *, checksum: bool) -> None:
        self.count = 0
        self._part = part
        self._left = deque(ranges if ranges is not None else [(0, NOT_TOLD)])
        self._digest = new_digest() if checksum else None

    @property
    def checksum(self) -> str | None:
        """blake2b of all of it; None where none is taken."""
        return self._digest.hexdigest() if self._digest else None

    def put(self, pieces: Sequence[bytes]) -> None:
        """Write some pieces. May block.

        Raises:
            CopyFailed: they are more than was asked for.
            LocalFileError: they cannot be written.
        """
        if self._digest:
            for piece in pieces:
                self._digest.update(piece)
        views: list[bytes | memoryview] = list(pieces)
        while views:
            offset, room = self._range()
            fitting, views = _split(views, room)
            self._part.write(offset, fitting)
            length = sum(len(view) for view in fitting)
            self.count += length
            self._left[0] = offset + length, room - length

    def _range(self) -> Range:
        while self._left and not self._left[0][1]:
            self._left.popleft()
        if not self._left:
            raise CopyFailed("the guest sends more than was asked for")
        return self._left[0]


def _split(
    views: list[bytes | memoryview], room: int
) -> tuple[list[bytes | memoryview], list[bytes | memoryview]]:
    """What of some pieces has room, and the rest."""
    fitting: list[bytes | memoryview] = []
    for number, view in enumerate(views):
        if len(view) > room:
            cut = memoryview(view)
            return [*fitting, cut[:room]] if room else fitting, [cut[room:], *views[number + 1 :]]
        fitting.append(view)
        room -= len(view)
    return fitting, []


class RangeSource:
    """Reads some ranges of an open file, in order.

    Args:
        descriptor: the file.
        path: its name, for messages.
        ranges: what of it; everything, whatever it is, where None.
        checksum: take a checksum of it.

    Attributes:
        count: bytes that were read.
    """

    def __init__(
        self, descriptor: int, path: bytes, ranges: Sequence[Range] | None, *, checksum: bool
    ) -> None:
        self.count = 0
        self._descriptor = descriptor
        self._path = path
        self._whole = ranges is None
        self._left = deque(ranges if ranges is not None else [(0, NOT_TOLD)])
        self._digest = new_digest() if checksum else None

    @property
    def checksum(self) -> str | None:
        """blake2b of all of it; None where none is taken."""
        return self._digest.hexdigest() if self._digest else None

    @property
    def at_end(self) -> bool:
        """Whether all that was asked for was read."""
        return not any(length for _, length in self._left)

    def read(self) -> bytes:
        """The next piece; b"" after the last. May block.

        Raises:
            CopyFailed: the file has become shorter.
            LocalFileError: it cannot be read.
        """
        while self._left and not self._left[0][1]:
            self._left.popleft()
        if not self._left:
            return b""
        offset, length = self._left[0]
        with translated(self._path):
            piece = os.pread(self._descriptor, min(length, PIECE), offset)
        if not piece and not self._whole:
            raise CopyFailed("it became shorter while it was read")
        self._left[0] = offset + len(piece), length - len(piece)
        self.count += len(piece)
        if self._digest:
            self._digest.update(piece)
        return piece
