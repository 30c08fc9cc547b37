"""The port `unix-listen:PATH`: a unix socket of our own, for hosts in the same kernel and for tests."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Final

from guestmux_protocol.addresses import UnixListen
from guestmux_transport.pipe_errors import BusyError, NotFoundError, OpenError, open_error
from guestmux_transport.port_accepting import AcceptingPort
from guestmux_transport.reopening import Sleep

BACKLOG: Final = 8
"""Hosts that may wait while one is served. One more is refused at once (EAGAIN) instead of waiting unseen."""


class UnixListenPort(AcceptingPort):
    """Binds the path; removes the socket file of a dead process first, and its own at close."""

    def __init__(self, address: UnixListen, *, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(address, sleep=sleep)
        self._path = Path(address.path)
        self._mode = address.mode
        self._inode = 0

    def _listen(self) -> socket.socket:
        listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            self._bind(listener)
            # Nobody can connect before listen(), so the file never lets in whom its mode keeps out.
            self._path.chmod(self._mode)
            self._inode = self._path.stat().st_ino
            listener.listen(BACKLOG)
        except FileNotFoundError as error:
            listener.close()
            raise NotFoundError(
                f"{self.address}: the directory {self._path.parent} does not exist"
            ) from error
        except OSError as error:
            listener.close()
            raise open_error(self.address, error) from error
        except OpenError:
            listener.close()
            raise
        return listener

    def _bind(self, listener: socket.socket) -> None:
        if self._path.exists():
            self._remove_stale()
        listener.bind(str(self._path))

    def _remove_stale(self) -> None:
        if not stat.S_ISSOCK(self._path.stat().st_mode):
            raise OpenError(f"{self.address}: the path exists and is no socket; remove it or name another")
        if _somebody_listens(self._path):
            raise BusyError(f"{self.address}: another process listens there; one port needs one path")
        self._path.unlink(missing_ok=True)

    def _release(self) -> None:
        super()._release()
        try:
            if self._inode and self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except OSError as error:
            self._report(f"{self.address}: could not remove the socket file: {os.strerror(error.errno or 0)}")


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # its backlog is full
    return True
