"""The port `vsock-listen:CID:PORT`: the host dials this machine's context id (vsock(7)); no device is needed."""

from __future__ import annotations

import asyncio
import errno
import socket

from guestmux_protocol.addresses import VsockListen
from guestmux_transport.pipe_errors import NotFoundError, open_error
from guestmux_transport.port_accepting import AcceptingPort
from guestmux_transport.port_unix_listen import BACKLOG
from guestmux_transport.reopening import Sleep

_NO_VSOCK = frozenset({errno.EAFNOSUPPORT, errno.ENODEV})


class VsockListenPort(AcceptingPort):
    """Binds a vsock port."""

    def __init__(self, address: VsockListen, *, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(address, sleep=sleep)
        self._bound_at = (address.cid, address.port)

    def _listen(self) -> socket.socket:
        try:
            listener = socket.socket(
                socket.AF_VSOCK, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            )
        except OSError as error:
            raise self._explained(error) from error
        try:
            listener.bind(self._bound_at)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise self._explained(error) from error
        return listener

    def _explained(self, error: OSError) -> Exception:
        if error.errno in _NO_VSOCK:
            return NotFoundError(
                f"{self.address}: this kernel has no vsock; on the host, add -device vhost-vsock-pci"
            )
        return open_error(self.address, error)
