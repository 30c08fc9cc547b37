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

PAUSE_SECONDS = 0.1
"""Seconds between two reads while nobody waits for an answer: what servers tell by themselves, a hundred times a second
when somebody plays with windows, is taken in ten times a second. The first of a while is taken in at once."""

BUSY_BYTES = 16 * 1024
"""Bytes of a read after which there is no pause: compositors end a connection whose buffers, of 200 KiB, fill up."""

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
        waiting: whether somebody waits for an answer.

    Attributes:
        fds: the descriptors that came and that nobody has taken yet, in their order.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_bytes: Callable[[bytes], None],
        on_lost: Callable[[str], None],
        waiting: Callable[[], bool],
    ) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._is_waited_for = waiting
        self._pause: asyncio.TimerHandle | None = None
        self._queue = bytearray()
        self._queued_fds: list[int] = []
        self.fds: list[int] = []
        self.closed = False
        self._loop.add_reader(sock, self._readable)

    def __repr__(self) -> str:
        return f"<DisplaySocket {'CLOSED' if self.closed else 'OPEN'} queued={len(self._queue)}>"

    @property
    def queued(self) -> int:
        """Bytes that the server has not taken yet; over MAX_QUEUED it is given up."""
        return len(self._queue)

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
        self._read_on()
        if not self._queue:
            self._loop.add_writer(self._sock, self._writable)
        # Sent together in the loop's next round: a source asks for many things at a time.
        self._queue += data
        self._queued_fds += [os.dup(fd) for fd in fds]
        if len(self._queue) > MAX_QUEUED:
            self._lose("it takes nothing any more")
            raise DisplayLost("the display server takes nothing any more")

    def close(self) -> None:
        """Close it; what waits is dropped."""
        if self.closed:
            return
        self.closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._queue.clear()
        close_fds(self._queued_fds)
        close_fds(self.fds)

    def _lose(self, reason: str) -> None:
        if not self.closed:
            self.close()
            self._on_lost(reason)

    def _writable(self) -> None:
        fds = self._queued_fds[:MAX_FDS]
        try:
            sent = socket.send_fds(self._sock, [self._queue], fds) if fds else self._sock.send(self._queue)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(os.strerror(error.errno or 0))
            return
        del self._queue[:sent]
        del self._queued_fds[: len(fds)]
        close_fds(fds)
        if not self._queue:
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
        if len(data) < BUSY_BYTES and not self._is_waited_for():
            self._rest()

    def _rest(self) -> None:
        if self.closed or self._pause is not None:
            return
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if self._pause is not None and not self.closed:
            self._pause.cancel()
            self._pause = None
            self._loop.add_reader(self._sock, self._readable)

    def _keep_fds(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(data[: len(data) - len(data) % received.itemsize])
                self.fds.extend(received)
        if len(self.fds) > MAX_UNCLAIMED_FDS:
            raise WireError("it sent more descriptors than its messages have")
