"""A listening socket of this host, and its end."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress

from guestmux.copying import LocalFileError
from guestmux.forward_address import ListenAddress, TcpListen
from guestmux_protocol.addresses import UnixListen

BACKLOG = 128
"""Connections that the kernel holds for us."""


class Listener:
    """Made by `listen`; ends with `close`.

    Args:
        socket: it listens.
        address: where, the port's number filled in.
    """

    def __init__(self, socket: socket.socket, address: ListenAddress) -> None:
        self.socket = socket
        self.address = address
        self._file = _look(address.path) if isinstance(address, UnixListen) else None

    def close(self) -> None:
        """Listen no more; the socket's file goes, unless somebody else has put another one there."""
        self.socket.close()
        if isinstance(self.address, UnixListen):
            now = _look(self.address.path)
            if now is not None and self._file is not None and os.path.samestat(now, self._file):
                with suppress(OSError):
                    os.unlink(self.address.path)  # noqa: PTH108 - as it was bound
            self._file = None


def listen(address: ListenAddress) -> Listener:
    """Listen.

    Raises:
        LocalFileError: that is not possible.
    """
    try:
        return _listen_tcp(address) if isinstance(address, TcpListen) else _listen_unix(address)
    except OSError as error:
        raise LocalFileError(f"cannot listen at {address}: {error.strerror or error}") from error


def _listen_tcp(address: TcpListen) -> Listener:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
        listening.listen(BACKLOG)
        return Listener(listening, TcpListen(address.host, listening.getsockname()[1]))
    except BaseException:
        listening.close()
        raise


def _listen_unix(address: UnixListen) -> Listener:
    _remove_stale(address.path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # Before bind(), which makes the file with this mode: nobody connects in between (unix(7)).
        os.fchmod(listening.fileno(), address.mode)
        _bind_unmasked(listening, address)
        listening.listen(BACKLOG)
        return Listener(listening, address)
    except BaseException:
        listening.close()
        raise


def _bind_unmasked(listening: socket.socket, address: UnixListen) -> None:
    listening.bind(address.path)
    # The umask may have taken away more than was asked for.
    os.chmod(address.path, address.mode)  # noqa: PTH101 - as it was bound


def _remove_stale(path: str) -> None:
    """Remove the socket of a listener that is gone; one that answers, or another file, stays."""
    found = _look(path)
    if found is None or not stat.S_ISSOCK(found.st_mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108 - as it was bound
        except OSError:
            # It is alive and busy, or not ours: binding will say so.
            return


def _look(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
