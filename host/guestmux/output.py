"""One output of a process in the guest."""

from __future__ import annotations

from abc import abstractmethod

import anyio
from anyio.abc import ByteReceiveStream

from guestmux.errors import GuestmuxError, RemoteError

MAX_BUFFERED = 4 * 1024 * 1024
"""Bytes of one stream that are read ahead of who consumes them; then the process waits in the guest."""


class Output(ByteReceiveStream):
    """One output of a process, as it comes; both must be read, for a process whose output nobody takes waits."""

    @abstractmethod
    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes.

        Raises:
            anyio.EndOfStream: there are no more.
            GuestmuxError: the connection was lost.
            RemoteError: the guest knows the process no more.
        """

    async def read(self) -> bytes:
        """All that follows."""
        return b"".join([piece async for piece in self])

    @abstractmethod
    async def aclose(self) -> None:
        """Take no more; what follows is thrown away."""

    @abstractmethod
    def end(self, error: GuestmuxError | RemoteError | None = None) -> None:
        """Nothing follows what has come. For the process."""


class BufferedOutput(Output):
    """An output that the process is asked for."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended = False
        self._error: GuestmuxError | RemoteError | None = None
        self._grown = anyio.Event()
        self._shrunk = anyio.Event()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """See `Output`."""
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise anyio.EndOfStream
            await self._grown.wait()
            self._grown = anyio.Event()
        data = bytes(self._buffer[:max_bytes])
        del self._buffer[:max_bytes]
        self._shrunk.set()
        return data

    async def aclose(self) -> None:
        """See `Output`."""
        self._buffer.clear()
        self.end()

    def feed(self, data: bytes) -> None:
        """Take what the guest read."""
        if not self._ended and data:
            self._buffer += data
            self._grown.set()

    def end(self, error: GuestmuxError | RemoteError | None = None) -> None:
        """Nothing follows."""
        self._ended = True
        self._error = self._error or error
        self._grown.set()
        self._shrunk.set()

    async def room(self) -> None:
        """Wait until more may be fed."""
        while len(self._buffer) >= MAX_BUFFERED:
            self._shrunk = anyio.Event()
            await self._shrunk.wait()
