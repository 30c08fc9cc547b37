import asyncio
import os
import socket
from pathlib import Path

import pytest

from guestmux_protocol.addresses import InheritedFd
from guestmux_transport.pipe_errors import NotFoundError, OpenError
from guestmux_transport.port import open_port
from tests.support.pipes import host_at, hosts_of, turns

pytestmark = pytest.mark.anyio


async def test_a_listening_socket_brings_host_after_host_and_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "activated"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        fd = listener.detach()
    port = open_port(InheritedFd(fd))
    assert not os.get_inheritable(fd)
    async with hosts_of(port) as hosts:
        for request in (b"one", b"two"):
            with host_at(path) as host:
                host.send(request)
                assert await (await anext(hosts)).receive() == request
    assert path.exists()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


async def test_a_listening_port_that_was_never_used_is_closed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET) as listener:
        listener.listen()
        port = open_port(InheritedFd(listener.detach()))
    port.close()
    assert port.state == "CLOSED"


async def test_a_connected_socket_brings_one_host_and_ends() -> None:
    ours, host = socket.socketpair()
    with host:
        port = open_port(InheritedFd(ours.detach()))
        async with hosts_of(port) as hosts:
            pipe = await anext(hosts)
            pipe.write(b"hello")
            assert host.recv(99) == b"hello"
            host.close()
            await pipe.wait_closed()
            with pytest.raises(StopAsyncIteration):
                await anext(hosts)


async def test_a_connected_port_closed_before_use_hangs_up() -> None:
    ours, host = socket.socketpair()
    with host:
        open_port(InheritedFd(ours.detach())).close()
        assert host.recv(1) == b""


async def test_a_waiting_listener_ends_when_the_port_is_closed() -> None:
    with socket.socket(socket.AF_INET) as listener:
        listener.listen()
        port = open_port(InheritedFd(listener.detach()))
    async with hosts_of(port) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        port.close()
        with pytest.raises(StopAsyncIteration):
            await coming


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    with pytest.raises(NotFoundError, match="started without that descriptor"):
        open_port(InheritedFd(9999))


def test_a_datagram_socket_is_refused_and_left_open() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
        with pytest.raises(OpenError, match="not a stream socket"):
            open_port(InheritedFd(datagram.fileno()))
        assert os.fstat(datagram.fileno())


def test_a_file_is_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OpenError, match="not a character device"):
        open_port(InheritedFd(fd))
    os.close(fd)
