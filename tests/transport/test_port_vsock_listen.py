"""The vsock port, over the kernel's loopback where it has one."""

from __future__ import annotations

import errno
import socket

import pytest

from guestmux_protocol.addresses import MAX_VSOCK, Vsock, VsockListen
from guestmux_transport.dial import dial
from guestmux_transport.pipe_errors import BusyError, NotFoundError, OpenError, RefusedError
from guestmux_transport.port import open_port
from guestmux_transport.port_vsock_listen import VsockListenPort
from tests.support.pipes import hosts_of, our_messages, receive_exactly, turns
from tests.support.vsock import LOCAL, free_vsock_port, needs_vsock_loopback

pytestmark = pytest.mark.anyio


@needs_vsock_loopback
async def test_a_host_that_is_named_dials_the_port() -> None:
    address = VsockListen(MAX_VSOCK, free_vsock_port(), (LOCAL,))
    port = VsockListenPort(address)
    port.open_now()
    async with hosts_of(port) as hosts:
        host = await dial(Vsock(LOCAL, address.port))
        host.write(b"hello")
        guest = await anext(hosts)
        assert await receive_exactly(guest, 5) == b"hello"
        guest.write(b"back")
        assert await receive_exactly(host, 4) == b"back"
        host.close()
        assert await guest.receive() == b""


@needs_vsock_loopback
async def test_who_is_not_named_is_closed_at_once(caplog: pytest.LogCaptureFixture) -> None:
    address = VsockListen(MAX_VSOCK, free_vsock_port())
    port = VsockListenPort(address)
    async with hosts_of(port):
        port.open_now()
        stranger = await dial(Vsock(LOCAL, address.port))
        assert await stranger.receive() == b""
        stranger.close()
    assert "refused vsock peer 1:" in our_messages(caplog)[-1]


@needs_vsock_loopback
async def test_a_port_that_is_listened_at_is_busy_and_another_refuses() -> None:
    address = VsockListen(MAX_VSOCK, free_vsock_port())
    with socket.socket(socket.AF_VSOCK) as holder:
        holder.bind((MAX_VSOCK, address.port))
        holder.listen()
        with pytest.raises(BusyError):
            VsockListenPort(address).open_now()
    with pytest.raises(RefusedError, match="nobody listens at that port"):
        await dial(Vsock(LOCAL, address.port))


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.EAFNOSUPPORT, NotFoundError, "no vsock"),
        (errno.EMFILE, OpenError, "open files"),
        (errno.EADDRNOTAVAIL, OpenError, "another context id"),
    ],
)
async def test_a_port_that_cannot_be_had_is_told_so(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OpenError], text: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(socket, "socket", refuse)
    port = open_port(VsockListen(3, 1234))
    assert isinstance(port, VsockListenPort)
    with pytest.raises(kind, match=f"vsock-listen:3:1234: .*{text}"):
        port.open_now()
    await turns()
