"""A file in the guest."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Self

import anyio

from guestmux.base64_bytes import decode, encode
from guestmux.calling import Calling, read_as
from guestmux.errors import CommandFailed, GuestmuxError, RemoteError
from guestmux.pace import Pace
from guestmux_protocol.guest.files import GuestFileRead, GuestFileSeek, GuestFileWrite

CLOSE_TIMEOUT = 5.0
"""Seconds to close a file when its user is cancelled or has failed already."""

STALLED_SECONDS = 0.05
"""Seconds between two tries to write to a pipe in the guest that has no room."""

Whence = Literal["set", "cur", "end"]


class GuestFile:
    """An open file. Made by `Guest.open_file`; ends with `async with`, or with `aclose`.

    Every method raises what `Guest.call` raises; reading and writing are done in pieces, each with its own deadline.

    Args:
        guest: where it is.
        path: its name, for messages.
        handle: the guest's number for it.
        timeout: seconds for each piece; 30 by default.
    """

    def __init__(self, guest: Calling, path: str, handle: int, timeout: float | None = None) -> None:
        self.path = path
        self.handle = handle
        self._guest = guest
        self._timeout = timeout
        self._closed = False
        self._pace = Pace(concurrent=guest.concurrent, clock=anyio.current_time)

    def __repr__(self) -> str:
        return f"<GuestFile {self.path!r} {'closed' if self._closed else self.handle}>"

    async def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, fewer only at the end of the file; everything by default."""
        pieces, left = [], size
        while left:
            piece = await self.read_some(left)
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece) if size >= 0 else 0
        return b"".join(pieces)

    async def read_some(self, most: int = -1) -> bytes:
        """Read one piece of a size that suits the connection, `most` bytes at most; b"" at the end of the file."""
        count = self._pace.begin()
        count = min(count, most) if most >= 0 else count
        value = await self._call("guest-file-read", count=count)
        reply = read_as(GuestFileRead, "guest-file-read", value)
        data = decode("guest-file-read", reply.buf_b64)
        self._pace.end(len(data))
        return data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if piece := await self.read_some():
            return piece
        raise StopAsyncIteration

    async def write(self, data: bytes) -> int:
        """Write all of `data`; gives its length."""
        left = memoryview(data)
        while left:
            written = await self.write_some(left)
            left = left[written:]
            if not written:
                await anyio.sleep(STALLED_SECONDS)
        return len(data)

    async def write_some(self, data: bytes | memoryview) -> int:
        """Write the first piece of `data`; gives its length."""
        piece = bytes(data[: self._pace.begin()])
        value = await self._call("guest-file-write", {"buf-b64": encode(piece)})
        count = read_as(GuestFileWrite, "guest-file-write", value).count
        self._pace.end(count)
        return min(max(count, 0), len(piece))

    async def seek(self, offset: int, whence: Whence = "set") -> int:
        """Go `offset` bytes from the beginning (`set`), from here (`cur`) or from the `end`; gives the position."""
        value = await self._call("guest-file-seek", offset=offset, whence=whence)
        return read_as(GuestFileSeek, "guest-file-seek", value).position

    async def size(self) -> int | None:
        """Bytes in the file; None where it cannot be told, as with a pipe. The position is the beginning then."""
        try:
            size = await self.seek(0, "end")
            await self.seek(0)
        except CommandFailed:
            return None
        return size

    async def flush(self) -> None:
        """Hand what was written to the guest's kernel; closing does so as well."""
        await self._call("guest-file-flush")

    async def aclose(self) -> None:
        """Close it. An error tells that something written before did not reach the file."""
        if not self._closed:
            self._closed = True
            await self._call("guest-file-close")

    async def _call(self, command: str, arguments: dict[str, object] | None = None, **more: object) -> object:
        given = {"handle": self.handle, **(arguments or {}), **more}
        result: object = await self._guest.call(command, given, timeout=self._timeout)
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return await self.aclose()
        # What went wrong first is what the caller is to see.
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            try:
                await self.aclose()
            except (GuestmuxError, RemoteError):
                self._closed = True
        return None
