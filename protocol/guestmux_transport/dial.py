"""How a host reaches its guest: one connection to the far end of a port."""

from __future__ import annotations

from typing import assert_never

from guestmux_protocol.addresses import Device, DialAddress, Unix, Vsock
from guestmux_transport.char_device import DEVICE_WRITE_BYTES, open_character_device, read_out
from guestmux_transport.owned_pipe import connect_unix, owned_pipe
from guestmux_transport.pipe import Pipe
from guestmux_transport.vsock_socket import dial_vsock


async def dial(address: DialAddress) -> Pipe:
    """Connect to a guest.

    That it succeeds does not say that a guest answers: the far end may be QEMU with no agent behind it, or
    the backlog of a port that serves another host. Whoever waits for an answer needs a deadline.

    Args:
        address: a unix socket, a character device such as the pty of QEMU's chardev, or a guest's vsock port.

    Raises:
        NotFoundError: no such path, or no machine of that context id.
        RefusedError: the socket file or the machine is there, but nobody listens.
        NotPermittedError: this user may not.
        BusyError: too many wait at the socket, or another process holds the device.
        OpenError: anything else; the text says what.
    """
    name = str(address)
    match address:
        case Unix(path):
            return connect_unix(name, path)
        case Device(path):
            fd = open_character_device(name, path)
            read_out(fd)  # a pty keeps what the host before did not read
            return owned_pipe(name, fd, half_close=False, write_bytes=DEVICE_WRITE_BYTES)
        case Vsock():
            return await dial_vsock(address)
    assert_never(address)
