"""A file in the guest, for scripts without async."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from anyio.from_thread import BlockingPortal

from guestmux import file as asynchronous
from guestmux.file import Whence


class GuestFile:
    """An open file; see `guestmux.GuestFile`. Ends with `with`, or with `close`.

    Args:
        portal: runs what waits.
        file: the file.
    """

    def __init__(self, portal: BlockingPortal, file: asynchronous.GuestFile) -> None:
        self._portal = portal
        self._file = file

    def __repr__(self) -> str:
        return f"<blocking {self._file!r}>"

    @property
    def path(self) -> str:
        """Its name in the guest."""
        return self._file.path

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, fewer only at the end of the file; everything by default."""
        return self._portal.call(self._file.read, size)

    def read_some(self, most: int = -1) -> bytes:
        """Read one piece of a size that suits the connection; b"" at the end of the file."""
        return self._portal.call(self._file.read_some, most)

    def write(self, data: bytes) -> int:
        """Write all of `data`; gives its length."""
        return self._portal.call(self._file.write, data)

    def seek(self, offset: int, whence: Whence = "set") -> int:
        """Go to a position; see `guestmux.GuestFile.seek`."""
        return self._portal.call(self._file.seek, offset, whence)

    def size(self) -> int | None:
        """Bytes in the file; None where it cannot be told. The position is the beginning then."""
        return self._portal.call(self._file.size)

    def flush(self) -> None:
        """Hand what was written to the guest's kernel."""
        self._portal.call(self._file.flush)

    def close(self) -> None:
        """Close it."""
        self._portal.call(self._file.aclose)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if piece := self.read_some():
            return piece
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._portal.call(self._file.__aexit__, kind, error, traceback)
