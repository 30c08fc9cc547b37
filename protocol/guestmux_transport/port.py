"""Ports: doors to hosts, made by address. All kinds look the same to whoever speaks over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, assert_never

from guestmux_protocol.addresses import (
    Device,
    InheritedFd,
    PortAddress,
    UnixConnect,
    UnixListen,
    Virtio,
    VsockListen,
)
from guestmux_transport.char_device import open_character_device, virtio_path
from guestmux_transport.pipe import Pipe
from guestmux_transport.port_device import DevicePort
from guestmux_transport.port_fd import open_inherited
from guestmux_transport.port_unix_connect import UnixConnectPort
from guestmux_transport.port_unix_listen import UnixListenPort
from guestmux_transport.port_vsock_listen import VsockListenPort
from guestmux_transport.reopening import Sleep


class Port(Protocol):
    """A door to hosts.

    Attributes:
        address: where it is.
    """

    address: PortAddress

    @property
    def state(self) -> str:
        """`OPEN` with a host, `WAITING` for one, `BROKEN` (not opened, or reopening), or `CLOSED`."""

    def connections(self) -> AsyncIterator[Pipe]:
        """Give the hosts, one at a time; asking for the next closes the one before. See `ReopeningPort`."""

    def close(self) -> None:
        """Close the port and the current host's pipe; connections() ends."""


def open_port(address: PortAddress, *, sleep: Sleep = asyncio.sleep) -> Port:
    """Make the port of an address. connections() opens it; what fails there is logged and tried again.

    Args:
        address: where hosts are waited for.
        sleep: waits so many seconds between attempts; tests pass their own.

    Raises:
        OpenError: an inherited descriptor is unfit; only these cannot be had later.
    """
    match address:
        case UnixListen():
            return UnixListenPort(address, sleep=sleep)
        case UnixConnect():
            return UnixConnectPort(address, sleep=sleep)
        case Device(path):
            return DevicePort(address, lambda: open_character_device(str(address), path), sleep=sleep)
        case Virtio(name):
            return DevicePort(
                address, lambda: open_character_device(str(address), virtio_path(name)), sleep=sleep
            )
        case VsockListen():
            return VsockListenPort(address, sleep=sleep)
        case InheritedFd():
            return open_inherited(address, sleep=sleep)
    assert_never(address)
