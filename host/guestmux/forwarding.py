"""Connections to a socket of this host that end in the guest."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Awaitable, Callable

import anyio

from guestmux.errors import GuestmuxError, RemoteError
from guestmux.forward_listener import Listener
from guestmux.guest_stream import GuestStream
from guestmux.joint import Joint, SocketEnd

MAX_CONNECTIONS = 100
"""Connections at a time, each with two windows of memory; more wait to be accepted. An agent has 128 streams in all."""

ACCEPT_PAUSE = 1.0
"""Seconds until accepting is tried again when descriptors or memory ran out."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing then tells the peer of a failure and not of an end (socket(7))."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Dial = Callable[[], Awaitable[GuestStream]]
"""Connects in the guest."""

logger = logging.getLogger(__name__)


class Forwarding:
    """A listener whose connections end in the guest. Made by `Guest.forward`.

    Args:
        listener: where this host's programs connect.
        dial: connects in the guest.
        on_failure: is told in a line of each connection that failed.

    Attributes:
        connections: how many there are now.
        served: how many there were in all.
    """

    def __init__(self, listener: Listener, dial: Dial, on_failure: Callable[[str], None]) -> None:
        self.connections = 0
        self.served = 0
        self._listener = listener
        self._dial = dial
        self._on_failure = on_failure
        self._places = anyio.Semaphore(MAX_CONNECTIONS)

    def __repr__(self) -> str:
        return f"<Forwarding {self.local} connections={self.connections}>"

    @property
    def local(self) -> str:
        """Where it listens, the port's number filled in."""
        return str(self._listener.address).replace("unix-listen:", "unix:", 1)

    async def serve(self) -> None:
        """Serve connections for ever; `Guest.forward` runs it as a task."""
        async with anyio.create_task_group() as tasks:
            while True:
                await self._places.acquire()
                tasks.start_soon(self._serve_one, await self._accept())

    async def _accept(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener.socket)
            except OSError as error:
                self._on_failure(f"{self.local}: cannot accept a connection: {error.strerror or error}")
                await anyio.sleep(ACCEPT_PAUSE if error.errno in _EXHAUSTED else 0)
            else:
                return accepted

    async def _serve_one(self, accepted: socket.socket) -> None:
        self.connections += 1
        self.served += 1
        try:
            with accepted:
                accepted.setblocking(False)
                await self._join(accepted)
        finally:
            self.connections -= 1
            self._places.release()

    async def _join(self, accepted: socket.socket) -> None:
        try:
            async with await self._dial() as stream:
                await Joint(SocketEnd(accepted), stream).run()
        except (GuestmuxError, RemoteError) as error:
            _abort(accepted)
            self._on_failure(error.desc if isinstance(error, RemoteError) else str(error))
        except OSError as error:
            # A program that leaves while it is sent something is nothing unusual.
            logger.debug("%s: %s", self.local, error)
        except BaseException:
            _abort(accepted)
            raise


def _abort(connected: socket.socket) -> None:
    """Let the peer see that this is no orderly end, where its kind of socket can tell."""
    if connected.family != socket.AF_UNIX:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
