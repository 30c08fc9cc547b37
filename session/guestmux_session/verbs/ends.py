"""The descriptors that starting a process takes: closed again, but for those that are kept, however it goes."""

from __future__ import annotations

import os


class Ends:
    """A block's descriptors."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_error: object) -> None:
        for descriptor in self._open:
            os.close(descriptor)

    def add(self, descriptor: int) -> int:
        """Close this one, too, at the end of the block."""
        self._open.add(descriptor)
        return descriptor

    def pipe(self) -> tuple[int, int]:
        """A pipe's reading and writing end. Raises OSError."""
        reading, writing = os.pipe()
        return self.add(reading), self.add(writing)

    def keep(self, *descriptors: int | None) -> None:
        """Do not close these: they are somebody else's now."""
        self._open.difference_update(descriptors)
