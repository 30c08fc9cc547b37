"""Writes what comes into ranges of a file, one after the other, and hashes it."""

from __future__ import annotations

import os

from guestmux_session.errors import CommandError
from guestmux_session.verbs.hashes import begun_hash
from guestmux_session.verbs.ranges import Range


class RangeWriter:
    """The way through a file. Its calls may come from any thread, one at a time.

    Args:
        ranges: where to write.
        checksum: hash it, too.

    Attributes:
        count: bytes that were written.
    """

    def __init__(self, ranges: list[Range], *, checksum: bool) -> None:
        self._ranges = ranges[::-1]
        self._hash = begun_hash(wanted=checksum)
        self._done = 0
        self.count = 0

    def write(self, file: int, data: bytes) -> None:
        """Write more.

        Raises:
            CommandError: the ranges are full.
            OSError: it cannot be written.
        """
        if self._hash is not None:
            self._hash.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._write(file, rest) :]
        self.count += len(data)

    def missing(self) -> int:
        """Bytes of the ranges that did not come yet."""
        return sum(length for _, length in self._ranges) - self._done

    def digest(self) -> str | None:
        """The checksum of what was written, where it was wanted."""
        return None if self._hash is None else self._hash.hexdigest()

    def _write(self, file: int, data: memoryview) -> int:
        while self._ranges:
            offset, length = self._ranges[-1]
            if room := length - self._done:
                count = os.pwrite(file, data[:room], offset + self._done)
                self._done += count
                return count
            self._ranges.pop()
            self._done = 0
        raise CommandError("more came than the ranges take")
