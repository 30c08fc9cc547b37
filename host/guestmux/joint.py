"""A byte stream of this host joined to one in the guest."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from guestmux.errors import GuestmuxError, RemoteError
from guestmux.guest_stream import RECEIVE_BYTES, GuestStream


class LocalEnd(Protocol):
    """This host's end. All methods raise OSError where it failed."""

    async def receive(self) -> bytes:
        """The next bytes; b"" where nothing follows."""

    async def send(self, data: bytes) -> None:
        """Send all of it."""

    def send_eof(self) -> None:
        """Say that nothing follows."""


class SocketEnd:
    """A connected socket.

    Args:
        connected: it, which does not block.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> bytes:
        """See LocalEnd."""
        return await self._loop.sock_recv(self._socket, RECEIVE_BYTES)

    async def send(self, data: bytes) -> None:
        """See LocalEnd."""
        await self._loop.sock_sendall(self._socket, data)

    def send_eof(self) -> None:
        """See LocalEnd."""
        self._socket.shutdown(socket.SHUT_WR)


class Joint:
    """Passes on bytes, half closes and failures, both ways.

    Neither direction reads more than the other side has taken, so who is slow slows down who sends.

    Args:
        local: this host's end.
        stream: the guest's.
        outlasts_guest: whether our end may still send when the guest's has ended.
    """

    def __init__(self, local: LocalEnd, stream: GuestStream, *, outlasts_guest: bool = True) -> None:
        self._local = local
        self._stream = stream
        self._outlasts_guest = outlasts_guest
        self._failure: GuestmuxError | RemoteError | OSError | None = None

    async def run(self) -> None:
        """Pass on everything until both sides have ended, or one has failed.

        Raises:
            GuestmuxError, RemoteError: the guest's end failed.
            OSError: ours did; the guest was told.
        """
        async with anyio.create_task_group() as tasks:
            for direction in (self._to_guest, self._from_guest):
                tasks.start_soon(self._try, direction, tasks.cancel_scope)
        if isinstance(self._failure, OSError):
            await self._stream.fail(f"the host's program has left: {self._failure.strerror}")
        if self._failure is not None:
            raise self._failure

    async def _try(
        self, direction: Callable[[anyio.CancelScope], Awaitable[None]], scope: anyio.CancelScope
    ) -> None:
        try:
            await direction(scope)
        except (GuestmuxError, RemoteError, OSError) as error:
            self._failure = self._failure or error
            scope.cancel()

    async def _to_guest(self, _: anyio.CancelScope) -> None:
        while data := await self._local.receive():
            await self._stream.send(data)
        await self._stream.send_eof()

    async def _from_guest(self, scope: anyio.CancelScope) -> None:
        while True:
            try:
                data = await self._stream.receive()
            except anyio.EndOfStream:
                break
            await self._local.send(data)
        self._local.send_eof()
        if not self._outlasts_guest:
            scope.cancel()
