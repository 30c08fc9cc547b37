"""`Guest.forward` and `dial`: real sockets here, a guest in this process there."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from guestmux.copying import LocalFileError
from guestmux.errors import CommandDisabled, CommandFailed, ConnectionLost, NoStreams, StreamFailed
from guestmux.forward_address import parse_listen_address
from guestmux_protocol.addresses import AddressError
from tests.support.file_guest import FakeStream, FileGuest, file_guest

pytestmark = pytest.mark.anyio

REMOTE = "tcp:22"


@pytest.fixture
async def guest(anyio_backend: str) -> AsyncIterator[FileGuest]:
    async with file_guest() as guest:
        yield guest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


async def read_all(stream: SocketStream) -> bytes:
    return b"".join([piece async for piece in stream])


async def test_a_unix_socket(guest: FileGuest, path: Path) -> None:
    async with guest.forward(f"unix:{path}", REMOTE, session="user:alice") as forwarding:
        assert forwarding.local == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with await anyio.connect_unix(path) as stream:
            await stream.send(b"hello")
            await stream.send_eof()
            assert await read_all(stream) == b"hello", "a half close leaves the other half open"
    assert guest.asked("guest-connect") == [{"to": REMOTE}]
    assert not path.exists()
    assert (forwarding.connections, forwarding.served) == (0, 1)


async def test_its_mode(guest: FileGuest, path: Path) -> None:
    async with guest.forward(f"unix:{path},mode=0666", REMOTE):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666


@pytest.mark.parametrize("local", ["tcp:0", "tcp:127.0.0.1:0", "tcp:[::1]:0"])
async def test_tcp(guest: FileGuest, local: str) -> None:
    try:
        async with guest.forward(local, REMOTE) as forwarding:
            host, _, port = forwarding.local.removeprefix("tcp:").rpartition(":")
            assert host in {"127.0.0.1", "[::1]"}
            async with await anyio.connect_tcp(host.strip("[]"), int(port)) as stream:
                await stream.send(b"hello")
                await stream.send_eof()
                assert await read_all(stream) == b"hello"
    except LocalFileError:
        assert "::1" in local, "only IPv6 may be missing"


async def test_much_both_ways_at_once(guest: FileGuest, path: Path) -> None:
    content = os.urandom(3_000_000)

    async def one() -> None:
        async with await anyio.connect_unix(path) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(send, stream)
            assert await read_all(stream) == content

    async def send(stream: SocketStream) -> None:
        await stream.send(content)
        await stream.send_eof()

    async with guest.forward(f"unix:{path}", REMOTE) as forwarding:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
        assert forwarding.served == 20


async def test_who_does_not_read_is_not_read_for(guest: FileGuest, path: Path) -> None:
    sent = 0

    async def flood(stream: FakeStream) -> None:
        nonlocal sent
        try:
            while True:
                await stream.to_host.send(b"x" * 65536)
                sent += 65536
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            stream.end()

    guest.connect = flood
    async with guest.forward(f"unix:{path}", REMOTE):
        async with await anyio.connect_unix(path) as stream:
            await stream.receive(1)
            await anyio.wait_all_tasks_blocked()
            assert sent < 4_000_000, "the socket's buffer, the fake's, and a piece"
        await anyio.wait_all_tasks_blocked()


async def test_more_than_may_be_wait(guest: FileGuest, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guestmux.forwarding.MAX_CONNECTIONS", 2)
    async with guest.forward(f"unix:{path}", REMOTE) as forwarding:
        first, second, third = [await anyio.connect_unix(path) for _ in range(3)]
        for stream in (first, second):
            await stream.send(b"x")
            assert await stream.receive() == b"x"
        await third.send(b"third")
        assert forwarding.connections == 2
        await first.aclose()
        assert await third.receive() == b"third"
        for stream in (second, third):
            await stream.aclose()


class TestFailures:
    async def test_nobody_listens_in_the_guest(self, guest: FileGuest) -> None:
        said: list[str] = []

        def refuse(_: dict[str, Any]) -> None:
            raise CommandFailed("GenericError", "tcp:22: Connection refused")

        guest.overrides["guest-connect"] = refuse
        async with guest.forward("tcp:0", REMOTE, on_failure=said.append) as forwarding:
            port = int(forwarding.local.rpartition(":")[2])
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                    await stream.receive()
            assert said == ["tcp:22: Connection refused"]
            del guest.overrides["guest-connect"]
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(b"x")
                assert await stream.receive() == b"x", "one failure is one connection's"

    @pytest.mark.parametrize(
        "error",
        [
            ConnectionLost("the guest hung up"),
            StreamFailed("GenericError", "Connection reset by peer", "agent"),
        ],
    )
    async def test_the_guests_end_fails(self, guest: FileGuest, error: Exception) -> None:
        said: list[str] = []

        async def fail(stream: FakeStream) -> None:
            await stream.from_host.receive()
            stream.end(failure=error)

        guest.connect = fail
        async with guest.forward("tcp:0", REMOTE, on_failure=said.append) as forwarding:
            port = int(forwarding.local.rpartition(":")[2])
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(b"x")
                with pytest.raises(anyio.BrokenResourceError):
                    await stream.receive()
        assert len(said) == 1
        assert said[0] in str(error)

    async def test_our_program_leaves(self, guest: FileGuest, path: Path) -> None:
        ended = anyio.Event()

        async def flood(stream: FakeStream) -> None:
            try:
                while True:
                    await stream.to_host.send(b"x" * 65536)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                stream.end()
                ended.set()

        guest.connect = flood
        said: list[str] = []
        async with guest.forward(f"unix:{path}", REMOTE, on_failure=said.append):
            stream = await anyio.connect_unix(path)
            await stream.receive(1)
            await stream.aclose()
            await ended.wait()
        assert said == [], "that is nothing to speak of"

    async def test_it_ends_with_connections_open(self, guest: FileGuest, path: Path) -> None:
        async with guest.forward(f"unix:{path}", REMOTE):
            stream = await anyio.connect_unix(path)
            await stream.send(b"x")
            assert await stream.receive() == b"x"
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
        await stream.aclose()

    async def test_descriptors_run_out(
        self, guest: FileGuest, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("guestmux.forwarding.ACCEPT_PAUSE", 0)
        said: list[str] = []
        loop = asyncio.get_running_loop()
        accept = loop.sock_accept

        async def fail_once(listener: socket.socket) -> Any:
            monkeypatch.setattr(loop, "sock_accept", accept)
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(loop, "sock_accept", fail_once)
        async with (
            guest.forward(f"unix:{path}", REMOTE, on_failure=said.append),
            await anyio.connect_unix(path) as stream,
        ):
            await stream.send(b"x")
            assert await stream.receive() == b"x"
        assert said == [f"unix:{path}: cannot accept a connection: Too many open files"]

    async def test_policy(self, guest: FileGuest) -> None:
        def refuse(_: dict[str, Any]) -> None:
            raise CommandDisabled("CommandNotFound", "Command guest-connect has been disabled")

        guest.overrides["guest-connect"] = refuse
        with pytest.raises(CommandDisabled, match=r'eventd.toml .*enable = \["guest-connect"\]'):
            await guest.dial(REMOTE)

    async def test_a_port_without_streams(self, guest: FileGuest, path: Path) -> None:
        guest.streams = False
        with pytest.raises(NoStreams):
            async with guest.forward(f"unix:{path}", REMOTE):
                pass
        assert not path.exists()


class TestListening:
    async def test_what_a_dead_listener_left_is_removed(self, guest: FileGuest, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        async with guest.forward(f"unix:{path}", REMOTE):
            await (await anyio.connect_unix(path)).aclose()

    async def test_one_that_lives_stays(self, guest: FileGuest, path: Path) -> None:
        async with guest.forward(f"unix:{path}", REMOTE):
            with pytest.raises(LocalFileError, match="Address already in use"):
                async with guest.forward(f"unix:{path}", REMOTE):
                    pass
            await (await anyio.connect_unix(path)).aclose()

    async def test_another_file_stays(self, guest: FileGuest, path: Path) -> None:
        path.write_text("precious")
        with pytest.raises(LocalFileError, match="cannot listen at"):
            async with guest.forward(f"unix:{path}", REMOTE):
                pass
        assert path.read_text() == "precious"

    async def test_what_somebody_put_in_its_place_stays(self, guest: FileGuest, path: Path) -> None:
        async with guest.forward(f"unix:{path}", REMOTE):
            path.unlink()
            path.write_text("another")
        assert path.read_text() == "another"

    async def test_a_directory_that_is_not_there(self, guest: FileGuest) -> None:
        with pytest.raises(LocalFileError):
            async with guest.forward("unix:/nosuch/s", REMOTE):
                pass


@pytest.mark.parametrize(
    "text",
    ["", "22", "unix:", "unix:/a,mode=9", "unix:" + "x" * 200, "tcp:", "tcp:x", "tcp:65536", "tcp:-1",
     "tcp:localhost:1", "tcp:[::1:1", "tcp:1.2.3.4.5:1", "vsock:1:2", "tcp:٣"],
)  # fmt: skip
def test_nothing_to_listen_at(text: str) -> None:
    with pytest.raises(AddressError):
        parse_listen_address(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tcp:22", "tcp:127.0.0.1:22"),
        ("tcp:0.0.0.0:1", "tcp:0.0.0.0:1"),
        ("tcp:[::]:65535", "tcp:[::]:65535"),
        ("unix:/a", "unix-listen:/a"),
    ],
)
def test_where_to_listen(text: str, shown: str) -> None:
    assert str(parse_listen_address(text)) == shown


@pytest.mark.parametrize("remote", ["", "22", "ssh", "unix:", "tcp:", "tcp:\0"])
async def test_nothing_to_connect_to(guest: FileGuest, remote: str) -> None:
    with pytest.raises(AddressError):
        await guest.dial(remote)
    with pytest.raises(AddressError):
        async with guest.forward("tcp:0", remote):
            pass
