"""Pipes that own their descriptor: it is watched and closed together with the pipe."""

from __future__ import annotations

import os
import socket

from guestmux_transport.edge import edge_poller
from guestmux_transport.pipe import SOCKET_WRITE_BYTES, Pipe
from guestmux_transport.pipe_errors import open_error


def owned_pipe(
    name: str, fd: int, *, half_close: bool = True, write_bytes: int = SOCKET_WRITE_BYTES, early: bytes = b""
) -> Pipe:
    """Make a pipe of a connected, non-blocking descriptor, which is taken over: closed on failure, too.

    Args:
        name: the address, for logs.
        fd: the descriptor.
        half_close: see `Pipe`.
        write_bytes: see `Pipe`.
        early: see `Pipe`.

    Raises:
        OpenError: no descriptors are left to watch it with, or it cannot be watched.
    """

    def let_go(_: Pipe) -> None:
        watch.stop()
        os.close(fd)

    pipe = Pipe(name, fd, let_go, half_close=half_close, write_bytes=write_bytes, early=early)
    try:
        watch = edge_poller().watch(fd, pipe.edge, writable=False)
    except OSError as error:
        os.close(fd)
        raise open_error(name, error) from error
    pipe.want_writable = watch.want_writable
    return pipe


def connect_unix(name: str, path: str) -> Pipe:
    """Connect to a unix stream socket. At once: the kernel never lets a unix connect wait when asked not to.

    Raises:
        OpenError: and its children, as for `guestmux_transport.dial.dial`.
    """
    try:
        connection = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        with connection:
            connection.connect(path)
            fd = connection.detach()
    except OSError as error:
        raise open_error(name, error) from error
    return owned_pipe(name, fd)
