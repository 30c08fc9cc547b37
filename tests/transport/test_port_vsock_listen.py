"""vsock over the kernel's loopback, where it has one."""

from __future__ import annotations

import errno
import socket

import pytest

from guestmux_protocol.addresses import MAX_VSOCK, VsockListen
from guestmux_transport.pipe_errors import BusyError, NotFoundError, OpenError
from guestmux_transport.port import open_port
from guestmux_transport.port_vsock_listen import VsockListenPort
from tests.support.pipes import hosts_of

pytestmark = pytest.mark.anyio

LOCAL = 1
"""VMADDR_CID_LOCAL: this very machine, by the vsock_loopback transport."""


def lacks_loopback() -> str:
    """Why there is none; "" where there is."""
    try:
        with socket.socket(socket.AF_VSOCK) as listener, socket.socket(socket.AF_VSOCK) as dialer:
            listener.bind((MAX_VSOCK, MAX_VSOCK))
            listener.listen()
            dialer.settimeout(0.3)
            dialer.connect((LOCAL, listener.getsockname()[1]))
    except OSError as error:
        return f"vsock loopback: {error}"
    return ""


def free_port() -> int:
    with socket.socket(socket.AF_VSOCK) as probe:
        probe.bind((MAX_VSOCK, MAX_VSOCK))
        return int(probe.getsockname()[1])


WHY_NOT = lacks_loopback()


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
async def test_a_host_comes_by_vsock() -> None:
    address = VsockListen(MAX_VSOCK, free_port())
    port = VsockListenPort(address)
    port.open_now()
    with socket.socket(socket.AF_VSOCK) as host:
        host.connect((LOCAL, address.port))
        host.send(b"hello")
        async with hosts_of(port) as hosts:
            pipe = await anext(hosts)
            assert await pipe.receive() == b"hello"
            pipe.write(b"back")
            assert host.recv(10) == b"back"
    with socket.socket(socket.AF_VSOCK) as holder:
        holder.bind((MAX_VSOCK, address.port))
        holder.listen()
        with pytest.raises(BusyError):
            VsockListenPort(address).open_now()


@pytest.mark.parametrize(("number", "kind"), [(errno.EAFNOSUPPORT, NotFoundError), (errno.EMFILE, OpenError)])
async def test_a_kernel_without_vsock_is_told_so(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OpenError]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(socket, "socket", refuse)
    port = open_port(VsockListen(3, 1234))
    assert isinstance(port, VsockListenPort)
    with pytest.raises(kind, match="vsock-listen:3:1234"):
        port.open_now()
