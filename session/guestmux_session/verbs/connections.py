"""guest-connect: connections to sockets of this machine's own."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from contextlib import suppress

import anyio

from guestmux_protocol.addresses import AddressError
from guestmux_protocol.errors import MAX_SHOWN
from guestmux_protocol.guest.connect import GuestConnect
from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.local_sockets import LocalSocket, LocalTcp, LocalUnix, parse_local_socket
from guestmux_session.errors import CommandError
from guestmux_session.streams import ServedStream, stream_of
from guestmux_session.verbs.turns import Turns

MAX_CONNECTIONS = 128
"""Connections at a time: an eighth of the descriptors that a process has by default."""

CONNECT_SECONDS = 10.0
"""Seconds until a service has to take a connection: on its own machine it does at once, or its queue is full."""

_RETRY_SECONDS = 0.05
"""Seconds until a unix socket whose queue is full is tried again; nothing tells when it has room."""

_RECEIVE_BYTES = 128 * 1024
"""Bytes that are taken at once: half of what a socket holds by default."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes the end of a TCP connection a reset (socket(7))."""


class Connections:
    """Connects, and passes bytes and ends on, both ways."""

    def __init__(self) -> None:
        self._turns = Turns(MAX_CONNECTIONS, "connections")

    @stream_of(GUEST["guest-connect"])
    async def connect(self, asked: GuestConnect, stream: ServedStream) -> None:
        """Be one connection."""
        try:
            target = parse_local_socket(asked.to)
        except AddressError as error:
            raise CommandError(str(error)) from error
        with self._turns.taken(), await _connected(target, asked.to[:MAX_SHOWN]) as connection:
            await stream.accept()
            await _Passing(connection, stream).run()


class _Passing:
    """The bytes of one connection.

    Args:
        connection: to the service.
        stream: to the host.
    """

    def __init__(self, connection: socket.socket, stream: ServedStream) -> None:
        self._connection = connection
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._failure: OSError | None = None
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Pass on, until both directions have ended.

        Raises:
            CommandError: the service broke the connection.
        """
        try:
            async with anyio.create_task_group() as tasks:
                self._scope = tasks.cancel_scope
                tasks.start_soon(self._to_service)
                tasks.start_soon(self._to_host)
        except BaseException:
            self._reset()
            raise
        if self._failure is not None:
            raise CommandError(f"the connection broke: {_reason(self._failure)}")

    async def _to_service(self) -> None:
        try:
            async for data in self._stream:
                await self._loop.sock_sendall(self._connection, data)
        except OSError as error:
            # What the service said before may still be there to be read, and its end, or its reset, after it.
            self._failure = error
            if self._stream.state == "ENDED":
                self._scope.cancel()
            return
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    async def _to_host(self) -> None:
        try:
            while data := await self._loop.sock_recv(self._connection, _RECEIVE_BYTES):
                await self._stream.send(data)
        except OSError as error:
            self._failure = error
        if self._failure is None:
            await self._stream.send_eof()
        else:
            self._scope.cancel()

    def _reset(self) -> None:
        """The host broke off: to the service that must not look like an end."""
        if self._connection.family != socket.AF_UNIX:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def _connected(target: LocalSocket, name: str) -> socket.socket:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await (_unix(target) if isinstance(target, LocalUnix) else _tcp(target))
    except OSError as error:
        raise CommandError(f"failed to connect to '{name}': {_reason(error)}") from error


async def _unix(target: LocalUnix) -> socket.socket:
    while True:
        with suppress(BlockingIOError):
            return _at_once(target)
        await asyncio.sleep(_RETRY_SECONDS)


def _at_once(target: LocalUnix) -> socket.socket:
    """Connect to a unix socket, which is done at once or not at all. BlockingIOError: its queue is full."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.connect(target.address)
    except OSError:
        connection.close()
        raise
    return connection


async def _tcp(target: LocalTcp) -> socket.socket:
    """Connect to the first address that takes it; where none does, the first one's reason counts."""
    first: OSError | None = None
    for address in target.addresses:
        try:
            return await _tcp_at(address, target.port)
        except OSError as error:
            first = first or error
    raise first or OSError(errno.EADDRNOTAVAIL, "")


async def _tcp_at(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else f"nobody took it within {CONNECT_SECONDS:g} s"
