"""The port `fd:N`: a descriptor that was open when the process started, as socket activation passes them.

A listening socket brings host after host; a connected socket brings one; a character device is used as
`device:` is, but cannot be opened again.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
from typing import Any

from guestmux_protocol.addresses import VSOCK_PEERS, InheritedFd
from guestmux_transport.char_device import prepare_character_device
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import NotFoundError, OpenError
from guestmux_transport.port_accepting import HOSTS_AHEAD, AcceptingPort
from guestmux_transport.port_device import DevicePort
from guestmux_transport.reopening import ReopeningPort, Sleep
from guestmux_transport.vsock_socket import vsock_refusal


class InheritedListenPort(AcceptingPort):
    """A listening stream socket of any family; its socket file, if it has one, belongs to whoever made it.

    Of a vsock socket only the host is let in.
    """

    def __init__(
        self, address: InheritedFd, listening: socket.socket, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._is_vsock = listening.family == socket.AF_VSOCK
        super().__init__(address, ahead=HOSTS_AHEAD if self._is_vsock else 0, sleep=sleep)
        self._listening = listening

    def _listen(self) -> socket.socket:
        return self._listening

    def _refusal(self, peer: Any) -> str:
        return vsock_refusal(peer, VSOCK_PEERS) if self._is_vsock else ""

    def _release(self) -> None:
        super()._release()
        self._listening.close()


class ConnectedPort(ReopeningPort):
    """A connected stream socket: one host, and the port ends with it."""

    def __init__(
        self, address: InheritedFd, connection: socket.socket, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        super().__init__(address, sleep=sleep)
        self._connection = connection

    async def _next_host(self) -> Pipe | None:
        fd = self._connection.detach()
        if fd < 0:
            return None
        pipe = owned_pipe(str(self.address), fd)
        self._opened()
        return pipe

    def _release(self) -> None:
        self._connection.close()


def open_inherited(address: InheritedFd, *, sleep: Sleep = asyncio.sleep) -> ReopeningPort:
    """Make the port that fits what the descriptor is; it is taken over and made non-blocking.

    Raises:
        OpenError: it is not open, or neither a stream socket nor a character device, or a vsock socket whose peer
            is not the host.
    """
    fd = address.number
    try:
        mode = os.fstat(fd).st_mode
    except OSError as error:
        raise NotFoundError(f"{address}: this process was started without that descriptor") from error
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    if stat.S_ISSOCK(mode):
        return _socket_port(address, socket.socket(fileno=fd), sleep)
    prepare_character_device(str(address), fd)
    return DevicePort(address, lambda: fd, opens_again=False, sleep=sleep)


def _socket_port(address: InheritedFd, inherited: socket.socket, sleep: Sleep) -> ReopeningPort:
    if inherited.type != socket.SOCK_STREAM:
        inherited.detach()
        raise OpenError(f"{address}: not a stream socket")
    if inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return InheritedListenPort(address, inherited, sleep=sleep)
    if inherited.family == socket.AF_VSOCK and (
        refusal := vsock_refusal(inherited.getpeername(), VSOCK_PEERS)
    ):
        inherited.close()
        raise OpenError(f"{address}: {refusal}")
    return ConnectedPort(address, inherited, sleep=sleep)
