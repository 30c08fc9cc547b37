import asyncio
import logging
import os
import resource
import socket
import stat
from pathlib import Path

import pytest

from guestmux_protocol.addresses import Unix, UnixListen
from guestmux_transport.dial import dial
from guestmux_transport.edge import edge_poller
from guestmux_transport.pipe import HIGH_WATER
from guestmux_transport.pipe_errors import BusyError, NotFoundError
from guestmux_transport.port import open_port
from guestmux_transport.port_unix_listen import BACKLOG, UnixListenPort
from guestmux_transport.reopening import FIRST_DELAY
from tests.support.pipes import SteppedSleep, host_at, hosts_of, open_descriptors, receive_all, turns

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "port"


async def test_hosts_are_served_one_after_another(path: Path) -> None:
    async with hosts_of(open_port(UnixListen(str(path)))) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        with host_at(path) as first, host_at(path) as second:
            pipe = await coming
            first.send(b"one")
            second.send(b"two")
            assert await pipe.receive() == b"one"
            first.close()
            assert await pipe.receive() == b""
            pipe = await anext(hosts)
            assert await pipe.receive() == b"two"


async def test_asking_for_the_next_host_closes_the_one_before(path: Path) -> None:
    port = open_port(UnixListen(str(path)))
    async with hosts_of(port) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        with host_at(path) as host:
            pipe = await coming
            assert repr(port) == f"<Port unix-listen:{path} OPEN>"
            coming = asyncio.ensure_future(anext(hosts))
            await turns()
            assert host.recv(1) == b""
            assert pipe.state == "CLOSED"
            coming.cancel()
            assert repr(port) == f"<Port unix-listen:{path} WAITING>"


async def test_replies_that_a_host_left_unread_reach_nobody(path: Path) -> None:
    async with hosts_of(open_port(UnixListen(str(path)))) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        with host_at(path) as host:
            host.send(b"half a req")
            pipe = await coming
            pipe.write(b"x" * HIGH_WATER)
        await pipe.wait_closed()
        assert pipe.pending == 0
        with host_at(path) as host:
            pipe = await anext(hosts)
            pipe.write(b"only this")
            assert host.recv(99) == b"only this"
            host.shutdown(socket.SHUT_WR)
            assert await receive_all(pipe) == b""


async def test_a_hundred_hosts_that_leave_at_once_hurt_nobody(path: Path) -> None:
    async with hosts_of(open_port(UnixListen(str(path)))) as hosts:
        served = 0

        async def serve() -> None:
            nonlocal served
            async for pipe in hosts:
                pipe.write(b"greeting")
                pipe.write(await receive_all(pipe))
                served += 1

        serving = asyncio.ensure_future(serve())
        await turns()
        descriptors = len(open_descriptors())
        for number in range(100):
            with host_at(path) as host:
                if number % 3 == 1:
                    await turns(number % 7)  # leaves in another phase each time
                if number % 2 == 1:
                    host.send(b"question")
            if number % BACKLOG == 0:
                await turns()
        await turns(200)
        assert served == 100
        assert len(open_descriptors()) == descriptors
        with host_at(path) as host:
            await turns()
            assert host.recv(99) == b"greeting"
        serving.cancel()


async def test_one_host_too_many_is_refused_at_once(path: Path) -> None:
    async with hosts_of(open_port(UnixListen(str(path)))) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        with host_at(path):
            await coming
            waiting = [await dial(Unix(str(path))) for _ in range(BACKLOG + 1)]
            with pytest.raises(BusyError, match="too many hosts wait"):
                await dial(Unix(str(path)))
            for pipe in waiting:
                pipe.close()


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_the_socket_file_has_the_mode_asked_for(path: Path, mode: int) -> None:
    async with hosts_of(open_port(UnixListen(str(path), mode))) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        assert stat.S_IMODE(path.stat().st_mode) == mode
        coming.cancel()


async def test_the_socket_file_of_a_dead_process_is_replaced_and_ours_removed(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with hosts_of(open_port(UnixListen(str(path)))) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        with host_at(path):
            await coming
    assert not path.exists()


async def test_a_socket_file_that_somebody_put_in_place_of_ours_is_left(path: Path) -> None:
    async with hosts_of(open_port(UnixListen(str(path)))) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        path.rename(path.with_name("moved"))
        path.write_text("not ours")
        coming.cancel()
    assert path.exists()


async def test_a_port_in_use_is_reported_once_and_taken_when_it_is_free(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sleep = SteppedSleep()
    port = open_port(UnixListen(str(path)), sleep=sleep)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        async with hosts_of(port) as hosts:
            coming = asyncio.ensure_future(anext(hosts))
            await turns()
            sleep.step(8)
            await turns(100)
            assert port.state == "BROKEN"
            assert sleep.delays == [FIRST_DELAY, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
            assert [record.levelno for record in caplog.records] == [logging.WARNING]
            assert "another process listens there" in caplog.text
            other.close()
            sleep.step()
            await turns()
            with host_at(path):
                await coming


@pytest.mark.parametrize("kind", ["file", "directory"])
async def test_what_is_no_socket_is_not_removed(
    path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.touch() if kind == "file" else path.mkdir()
    async with hosts_of(open_port(UnixListen(str(path)), sleep=SteppedSleep())) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        assert "is no socket" in caplog.text
        coming.cancel()
    assert path.exists()


async def test_a_missing_directory_is_named(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sleep = SteppedSleep()
    async with hosts_of(open_port(UnixListen(str(path / "port")), sleep=sleep)) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        assert f"the directory {path} does not exist" in caplog.text
        path.mkdir()
        sleep.step()
        await turns()
        with host_at(path / "port"):
            await coming


async def test_without_free_descriptors_a_host_waits_and_is_served_later(path: Path) -> None:
    sleep = SteppedSleep()
    async with hosts_of(open_port(UnixListen(str(path)), sleep=sleep)) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with host_at(path):
            highest = max(open_descriptors())
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
            taken = take_every_descriptor()
            try:
                await turns()
                assert sleep.delays == [FIRST_DELAY]
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                for fd in taken:
                    os.close(fd)
            sleep.step()
            await coming


async def test_close_ends_the_connections(path: Path) -> None:
    port = open_port(UnixListen(str(path)))
    served = asyncio.ensure_future(collect(port.connections()))
    await turns()
    port.close()
    port.close()
    assert await served == 0
    assert port.state == "CLOSED"
    assert not path.exists()
    assert not edge_poller().watched


def take_every_descriptor() -> list[int]:
    taken: list[int] = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        return taken


async def collect(hosts: object) -> int:
    number = 0
    async for _ in hosts:  # type: ignore[attr-defined]
        number += 1
    return number


async def test_a_port_opened_ahead_listens_before_its_hosts_are_asked_for(path: Path) -> None:
    port = UnixListenPort(UnixListen(str(path)))
    port.open_now()
    with host_at(path) as host:
        host.send(b"early")
        async with hosts_of(port) as hosts:
            assert await (await anext(hosts)).receive() == b"early"
    assert not path.exists()


async def test_opening_ahead_raises_what_hinders_it(path: Path) -> None:
    port = UnixListenPort(UnixListen(str(path / "nowhere")))
    with pytest.raises(NotFoundError, match="does not exist"):
        port.open_now()


async def test_a_port_opened_ahead_and_never_used_is_closed(path: Path) -> None:
    before = open_descriptors()
    port = UnixListenPort(UnixListen(str(path)))
    port.open_now()
    port.close()
    assert open_descriptors() == before
