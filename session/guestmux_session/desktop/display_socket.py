"""A display server's socket on the loop: bytes and descriptors both ways, none of them for ever.

Xlib, xcb and libwayland wait in `connect`, for a reply and in a full socket, which would stop the whole agent for a
server that hangs. Here nothing waits: what the server does not take is kept up to a bound, and one wake-up reads a
bounded piece.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Callable, Sequence

import anyio

from guestmux_session.desktop.errors import DisplayError, DisplayLost, DisplayUnavailable, WireError
from guestmux_transport.bus_socket import close_fds

CONNECT_TIMEOUT = 5.0
"""Seconds until a server has to answer; one that is there does within milliseconds."""

READ_BYTES = 64 * 1024
"""Bytes of one wake-up: some hundred events, parsed in a few milliseconds, then others get the loop."""

MAX_QUEUED = 4 * 1024 * 1024
"""Bytes that may wait for the server: one that takes no more for so long hangs."""

MAX_FDS = 28
"""Descriptors of one read: libwayland sends no more."""

MAX_UNCLAIMED_FDS = 4 * MAX_FDS
"""Descriptors that no message has claimed; a server that sends more is broken."""

_FD_ROOM = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)

Address = str | tuple[str, int]
"""A unix socket's path, with a NUL first for an abstract one; or a host and a port."""


async def connect(address: Address) -> socket.socket:
    """Connect to a server.

    Raises:
        DisplayUnavailable: nobody is there, or does not answer in time.
    """
    shown = address.replace("\0", "@") if isinstance(address, str) else f"{address[0]}:{address[1]}"
    try:
        with anyio.fail_after(CONNECT_TIMEOUT):
            return await _connected(address)
    except TimeoutError as error:
        raise DisplayUnavailable(f"{shown}: no answer") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise DisplayUnavailable(f"{shown}: {reason}") from error


async def _connected(address: Address) -> socket.socket:
    loop = asyncio.get_running_loop()
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        family, kind, number, _, address = (await loop.getaddrinfo(*address, type=socket.SOCK_STREAM))[0]  # type: ignore[assignment]
        sock = socket.socket(family, kind, number)
    sock.setblocking(False)
    try:
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


class DisplaySocket:
    """Owns a connected socket until it is closed or lost.

    Args:
        sock: not blocking.
        on_bytes: is given what came, in pieces; what it raises of DisplayError ends the connection.
        on_lost: told once why the connection ended, unless `close` ended it.

    Attributes:
        fds: the descriptors that came and that nobody has taken yet, in their order.
    """

    def __init__(
        self, sock: socket.socket, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._waiting = bytearray()
        self._waiting_fds: list[int] = []
        self.fds: list[int] = []
        self.closed = False
        self._loop.add_reader(sock, self._readable)

    def __repr__(self) -> str:
        return f"<DisplaySocket {'CLOSED' if self.closed else 'OPEN'} queued={len(self._waiting)}>"

    @property
    def queued(self) -> int:
        """Bytes that the server has not taken yet; over MAX_QUEUED it is given up."""
        return len(self._waiting)

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send bytes, now or when the server takes them.

        Args:
            data: whole messages.
            fds: descriptors that go with them; the caller keeps its own.

        Raises:
            DisplayLost: the connection is closed, or too much waits.
        """
        if self.closed:
            raise DisplayLost("the connection to the display server is closed")
        if not self._waiting:
            self._loop.add_writer(self._sock, self._writable)
        # Sent together in the loop's next round: a source asks for many things at a time.
        self._waiting += data
        self._waiting_fds += [os.dup(fd) for fd in fds]
        if len(self._waiting) > MAX_QUEUED:
            self._lose("it takes nothing any more")
            raise DisplayLost("the display server takes nothing any more")

    def close(self) -> None:
        """Close it; what waits is dropped."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._waiting.clear()
        close_fds(self._waiting_fds)
        close_fds(self.fds)

    def _lose(self, reason: str) -> None:
        if not self.closed:
            self.close()
            self._on_lost(reason)

    def _writable(self) -> None:
        fds = self._waiting_fds[:MAX_FDS]
        try:
            sent = (
                socket.send_fds(self._sock, [self._waiting], fds) if fds else self._sock.send(self._waiting)
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(os.strerror(error.errno or 0))
            return
        del self._waiting[:sent]
        del self._waiting_fds[: len(fds)]
        close_fds(fds)
        if not self._waiting:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        try:
            data, ancillary, _flags, _ = self._sock.recvmsg(READ_BYTES, _FD_ROOM, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(os.strerror(error.errno or 0))
            return
        if not data:
            self._lose("it closed the connection")
            return
        try:
            self._keep_fds(ancillary)
            self._on_bytes(data)
        except DisplayError as error:
            self._lose(str(error))

    def _keep_fds(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(data[: len(data) - len(data) % received.itemsize])
                self.fds.extend(received)
        if len(self.fds) > MAX_UNCLAIMED_FDS:
            raise WireError("it sent more descriptors than its messages have")
