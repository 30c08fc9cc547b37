"""guest-connect: real servers, over a real connection to the host."""

import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from guestmux_session.verbs import connections
from guestmux_session.verbs.connections import Connections
from tests.support.stream_verbs import HostStream, Refused, Streams, serving

pytestmark = pytest.mark.anyio

MIB = 1 << 20


@pytest.fixture
async def agent() -> AsyncIterator[Streams]:
    async with serving(Connections()) as streams:
        inside = descriptors()
        yield streams
        while descriptors() > inside:
            await anyio.lowlevel.checkpoint()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def listening(family: int, address: object, backlog: int = 5) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(address)  # type: ignore[arg-type]
        listener.listen(backlog)
        yield listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


class Service:
    """The service's end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.setblocking(False)

    async def read(self, size: int = 65536) -> bytes:
        while True:
            try:
                return self.connection.recv(size)
            except BlockingIOError:
                await anyio.wait_readable(self.connection)

    async def read_all(self) -> bytes:
        pieces = []
        while data := await self.read():
            pieces.append(data)
        return b"".join(pieces)

    async def write(self, data: bytes) -> None:
        while data:
            try:
                data = data[self.connection.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(self.connection)

    def end(self) -> None:
        self.connection.shutdown(socket.SHUT_WR)


async def accepted(listener: socket.socket) -> Service:
    while True:
        try:
            return Service(listener.accept()[0])
        except BlockingIOError:
            await anyio.wait_readable(listener)


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    with listening(socket.AF_UNIX, str(tmp_path / "s")) as listener:
        yield listener


def to(listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    return f"tcp:{port_of(listener)}"


async def talk(stream: HostStream, service: Service) -> None:
    """A question, its end, an answer, its end."""
    question, answer = os.urandom(3 * MIB), os.urandom(3 * MIB)

    async def ask() -> None:
        await stream.write(question)
        await stream.end()

    async def reply() -> None:
        assert await service.read_all() == question
        await service.write(answer)
        service.end()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(reply)
        assert await stream.read_all() == answer
        assert await stream.result() is None
    service.connection.close()


async def test_bytes_and_ends_go_both_ways_over_a_unix_socket(agent: Streams, unix: socket.socket) -> None:
    async with agent.open("guest-connect", to=to(unix)) as stream:
        assert stream.reply == {}
        await talk(stream, await accepted(unix))


async def test_an_abstract_socket(agent: Streams) -> None:
    name = f"guestmux-test-{os.getpid()}"
    with listening(socket.AF_UNIX, f"\0{name}") as listener:
        async with agent.open("guest-connect", to=f"unix:@{name}") as stream:
            await talk(stream, await accepted(listener))


@pytest.mark.parametrize("host", ["", "localhost:", "127.0.0.1:"])
async def test_tcp(agent: Streams, host: str) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as listener:
        async with agent.open("guest-connect", to=f"tcp:{host}{port_of(listener)}") as stream:
            await talk(stream, await accepted(listener))


@pytest.mark.parametrize("host", ["", "localhost:", "[::1]:"])
async def test_tcp_of_the_sixth_version(agent: Streams, host: str) -> None:
    try:
        with listening(socket.AF_INET6, ("::1", 0)) as listener:
            async with agent.open("guest-connect", to=f"tcp:{host}{port_of(listener)}") as stream:
                await talk(stream, await accepted(listener))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
        pytest.skip("this machine has no ::1")


async def test_the_service_may_end_first(agent: Streams, unix: socket.socket) -> None:
    async with agent.open("guest-connect", to=to(unix)) as stream:
        service = await accepted(unix)
        await service.write(b"bye")
        service.end()
        assert await stream.read_all() == b"bye"
        await stream.write(b"still here")
        assert await service.read() == b"still here"
        await stream.end()
        assert await service.read() == b""
        service.connection.close()


async def test_a_service_that_does_not_read_slows_the_host_down(agent: Streams, unix: socket.socket) -> None:
    async with agent.open("guest-connect", to=to(unix)) as stream:
        service = await accepted(unix)
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(256):
                await stream.write(bytes(65536))
                sent += 65536
            await stream.end()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            before = -1
            while before != sent:
                before = sent
                await anyio.wait_all_tasks_blocked()
            assert sent <= 4 * MIB
            assert len(await service.read_all()) == 256 * 65536
        service.connection.close()


async def test_a_host_that_does_not_read_slows_the_service_down(agent: Streams, unix: socket.socket) -> None:
    async with agent.open("guest-connect", to=to(unix)) as stream:
        service = await accepted(unix)
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(256):
                await service.write(bytes(65536))
                sent += 65536
            service.connection.close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            before = -1
            while before != sent:
                before = sent
                await anyio.wait_all_tasks_blocked()
            assert sent <= 4 * MIB
            assert len(await stream.read_all()) == 256 * 65536


async def test_a_host_that_breaks_off_resets_the_service(agent: Streams) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as listener:
        async with agent.open("guest-connect", to=to(listener)) as stream:
            service = await accepted(listener)
            await stream.write(b"half a")
            assert await service.read() == b"half a"
        with pytest.raises(ConnectionResetError):
            await service.read()
        service.connection.close()


async def test_a_service_that_breaks_off_breaks_the_stream(agent: Streams) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as listener:
        async with agent.open("guest-connect", to=to(listener)) as stream:
            service = await accepted(listener)
            service.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, connections._RESET)
            service.connection.close()
            with pytest.raises(Refused, match="the connection broke: Connection reset by peer"):
                await stream.read_all()


async def test_what_a_service_said_before_it_left_is_not_lost(agent: Streams, unix: socket.socket) -> None:
    async with agent.open("guest-connect", to=to(unix)) as stream:
        service = await accepted(unix)
        await service.write(b"403 go away")
        service.connection.close()
        await stream.write(b"a long question")
        assert await stream.until(b"away") == b"403 go away"


async def test_a_host_that_goes_on_after_the_service_left_is_told(
    agent: Streams, unix: socket.socket
) -> None:
    async with agent.open("guest-connect", to=to(unix)) as stream:
        service = await accepted(unix)
        service.connection.close()
        assert await stream.read_all() == b""
        with pytest.raises(Refused, match="the connection broke: Broken pipe"):
            await stream.write(bytes(64 * MIB))


async def test_failures_are_told_in_words(agent: Streams, tmp_path: Path, unix: socket.socket) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dead").touch()
    with socket.socket(socket.AF_UNIX) as dead:
        (tmp_path / "dead").unlink()
        dead.bind(str(tmp_path / "dead"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = f"tcp:127.0.0.1:{port_of(closed)}"
        for name, said in (
            (f"unix:{tmp_path}/none", "No such file or directory"),
            (f"unix:{tmp_path}/file", "Connection refused"),
            (f"unix:{tmp_path}/dead", "Connection refused"),
            (refused, "Connection refused"),
        ):
            assert await agent.refused("guest-connect", to=name) == f"failed to connect to '{name}': {said}"


@pytest.mark.parametrize(
    "name", ["", "tcp:example.org:22", "tcp:192.0.2.1:22", "unix:x", "unix:/n\0ul", "udp:1"]
)
async def test_what_leads_elsewhere_is_refused(agent: Streams, name: str) -> None:
    assert "is no socket of the guest's" in await agent.refused("guest-connect", to=name)


async def test_a_full_queue_is_waited_at_for_a_while(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.2)
    with listening(socket.AF_UNIX, str(tmp_path / "s"), backlog=0) as listener:
        async with agent.open("guest-connect", to=to(listener)):
            said = await agent.refused("guest-connect", to=to(listener))
            assert said == f"failed to connect to '{to(listener)}': nobody took it within 0.2 s"
            monkeypatch.setattr(connections, "CONNECT_SECONDS", 30.0)

            async def take() -> None:
                (await accepted(listener)).connection.close()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                async with agent.open("guest-connect", to=to(listener)):
                    pass


async def test_many_at_once(unix: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 50)
    done = 0

    async def one(agent: Streams, number: int) -> None:
        nonlocal done
        async with agent.open("guest-connect", to=to(unix)) as stream:
            await stream.write(b"%d" % number)
            await stream.end()
            assert await stream.read_all() == b"%d" % number
        done += 1

    async def serve() -> None:
        while True:
            service = await accepted(unix)
            tasks.start_soon(echo, service)

    async def echo(service: Service) -> None:
        await service.write(await service.read_all())
        service.connection.close()

    async with serving(Connections()) as agent:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            async with anyio.create_task_group() as hosts:
                for number in range(50):
                    hosts.start_soon(one, agent, number)
            tasks.cancel_scope.cancel()
        assert done == 50


async def test_how_many_there_may_be(unix: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
    async with serving(Connections()) as agent, agent.open("guest-connect", to=to(unix)):
        assert "1 connections are under way" in await agent.refused("guest-connect", to=to(unix))


async def test_a_host_that_is_gone_while_it_connects_leaves_nothing(agent: Streams, tmp_path: Path) -> None:
    with listening(socket.AF_UNIX, str(tmp_path / "s"), backlog=0) as listener:
        async with agent.open("guest-connect", to=to(listener)):
            before = descriptors()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: agent.refused("guest-connect", to=to(listener)))
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
            while descriptors() != before:
                await anyio.lowlevel.checkpoint()
