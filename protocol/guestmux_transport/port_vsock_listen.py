"""The port `vsock-listen:[CID:]PORT`: the host dials this machine's context id (vsock(7)); no port device is needed."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from guestmux_protocol.addresses import VsockListen
from guestmux_transport.port_accepting import HOSTS_AHEAD, AcceptingPort
from guestmux_transport.port_unix_listen import BACKLOG
from guestmux_transport.reopening import Sleep
from guestmux_transport.vsock_socket import listen_vsock, vsock_refusal


class VsockListenPort(AcceptingPort):
    """Binds a vsock port, and lets in whom its address names."""

    def __init__(self, address: VsockListen, *, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(address, ahead=HOSTS_AHEAD, sleep=sleep)
        self._bound_at = (address.cid, address.port)
        self._admitted = address.peers

    def _listen(self) -> socket.socket:
        return listen_vsock(self.address, *self._bound_at, BACKLOG)

    def _refusal(self, peer: Any) -> str:
        return vsock_refusal(peer, self._admitted)
