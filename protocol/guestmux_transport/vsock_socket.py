"""Sockets of the family AF_VSOCK (vsock(7)): how they are opened and dialled, who is let in, what goes wrong."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Collection
from typing import Any, Final

from guestmux_protocol.addresses import PortAddress, Vsock
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import Pipe
from guestmux_transport.pipe_errors import NotFoundError, OpenError, RefusedError, open_error

DIAL_PATIENCE: Final = 5.0
"""Seconds for a guest to answer; the kernel's own limit is 2, and a context id that nobody has may get no answer."""

_KIND = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC

_NO_VSOCK = frozenset({errno.EAFNOSUPPORT, errno.ENODEV})


def vsock_refusal(peer: Any, admitted: Collection[int]) -> str:
    """Why a peer is not let in; empty when it is.

    The kernel tells the context id, so no peer can choose it.

    Args:
        peer: what accept() or getpeername() gave for it.
        admitted: the context ids that are let in.
    """
    cid, port = peer
    if cid in admitted:
        return ""
    return f"refused vsock peer {cid}:{port}: let in is {', '.join(map(str, admitted))} (2 is the host)"


def listen_vsock(address: PortAddress, cid: int, port: int, backlog: int) -> socket.socket:
    """Make a listening socket, non-blocking.

    Raises:
        NotFoundError: this kernel has no vsock.
        BusyError: another process listens there.
        OpenError: anything else; the text says what.
    """
    try:
        listener = socket.socket(socket.AF_VSOCK, _KIND)
    except OSError as error:
        raise _not_listening(address, error) from error
    try:
        listener.bind((cid, port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise _not_listening(address, error) from error
    return listener


async def dial_vsock(address: Vsock, patience: float = DIAL_PATIENCE) -> Pipe:
    """Connect to a guest's port.

    Args:
        address: where.
        patience: seconds for the guest to answer.

    Raises:
        NotFoundError: this kernel has no vsock, or no such guest.
        RefusedError: the guest is there, but nobody listens.
        OpenError: anything else; the text says what.
    """
    try:
        with socket.socket(socket.AF_VSOCK, _KIND) as connection:
            async with asyncio.timeout(patience):
                await asyncio.get_running_loop().sock_connect(connection, (address.cid, address.port))
            fd = connection.detach()
    except OSError as error:  # TimeoutError is one
        raise _not_connected(address, error) from error
    return owned_pipe(str(address), fd)


def _not_listening(address: PortAddress, error: OSError) -> OpenError:
    if error.errno in _NO_VSOCK:
        return NotFoundError(f"{address}: this kernel has no vsock; on the host, add -device vhost-vsock-pci")
    if error.errno == errno.EADDRNOTAVAIL:
        return OpenError(
            f"{address}: this machine has another context id; leave it out, as vsock-listen:PORT"
        )
    return open_error(address, error)


def _not_connected(address: Vsock, error: OSError) -> OpenError:
    match error.errno:
        case errno.EAFNOSUPPORT:
            return NotFoundError(f"{address}: this kernel has no vsock; modprobe vhost_vsock")
        case errno.ENODEV | errno.ENETUNREACH | errno.EHOSTUNREACH:
            return NotFoundError(f"{address}: no machine with that context id runs here")
        case errno.ECONNRESET | errno.ECONNREFUSED:
            return RefusedError(f"{address}: the machine is there, but nobody listens at that port")
        case errno.ETIMEDOUT | None:
            return OpenError(f"{address}: no answer; is the machine up, and is that its context id?")
    return open_error(address, error)
