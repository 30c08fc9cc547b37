import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestmux_protocol.addresses import UnixConnect
from guestmux_transport.port import open_port
from guestmux_transport.reopening import FIRST_DELAY
from tests.support.pipes import SteppedSleep, hosts_of, our_messages, turns

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host"


@pytest.fixture
def host(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(0)
        listener.bind(str(path))
        listener.listen(4)
        yield listener


async def test_connects_at_once_and_again_when_the_host_left(path: Path, host: socket.socket) -> None:
    sleep = SteppedSleep()
    port = open_port(UnixConnect(str(path)), sleep=sleep)
    async with hosts_of(port) as hosts:
        pipe = await anext(hosts)
        with host.accept()[0] as connection:
            connection.send(b"hello")
            assert await pipe.receive() == b"hello"
        await pipe.wait_closed()
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        assert sleep.delays == [FIRST_DELAY]
        assert port.state == "BROKEN"
        sleep.step()
        pipe = await coming
        assert port.state == "OPEN"
        with host.accept()[0] as connection:
            pipe.write(b"again")
            assert connection.recv(99) == b"again"


async def test_hosts_that_hang_up_at_once_are_tried_ever_more_slowly(path: Path, host: socket.socket) -> None:
    sleep = SteppedSleep()
    sleep.step(100)
    async with hosts_of(open_port(UnixConnect(str(path)), sleep=sleep)) as hosts:
        for number in range(100):
            pipe = await anext(hosts)
            connection, _ = host.accept()
            with connection:
                if number == 50:
                    connection.send(b"x")
                    await pipe.receive()
            await pipe.wait_closed()
        assert sleep.delays[:7] == [FIRST_DELAY, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
        assert sleep.delays[49:52] == [5.0, FIRST_DELAY, 0.2]
        assert sleep.delays[98] == 5.0


async def test_each_distinct_failure_is_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sleep = SteppedSleep()
    caplog.set_level("WARNING")
    async with hosts_of(open_port(UnixConnect(str(path)), sleep=sleep)) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        sleep.step(3)
        await turns()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            sleep.step(3)
            await turns()
            assert our_messages(caplog) == [
                f"unix-connect:{path}: not found",
                f"unix-connect:{path}: connection refused; nobody listens there",
            ]
            listener.listen()
            sleep.step()
            await coming


async def test_close_during_the_pause_ends_the_connections(path: Path, host: socket.socket) -> None:
    sleep = SteppedSleep()
    port = open_port(UnixConnect(str(path)), sleep=sleep)
    async with hosts_of(port) as hosts:
        await anext(hosts)
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        port.close()
        sleep.step()
        with pytest.raises(StopAsyncIteration):
            await coming
        with host.accept()[0] as connection:
            assert connection.recv(1) == b""
