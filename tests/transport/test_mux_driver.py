"""A Multiplexer on a pipe: the order of urgency holds, a peer that reads nothing has to wait, and how it ends."""

import asyncio
import fcntl
import socket
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guestmux_protocol.mux import (
    RESET,
    Cancel,
    Data,
    Frame,
    Hello,
    Multiplexer,
    MuxError,
    Reply,
    Request,
    encode,
)
from guestmux_protocol.mux.fair_writer import FRAME_COST
from guestmux_protocol.mux.limits import CONTROL_BYTES
from guestmux_transport import mux_driver
from guestmux_transport.mux_driver import WRITE_BYTES, MuxDriver, MuxEnd
from guestmux_transport.pipe import Pipe
from tests.support.mux_ends import sent
from tests.support.pipes import pipe_and_peer, turns

pytestmark = pytest.mark.anyio

MIB = 1 << 20


class Peer:
    """An asker on a bare socket, which sends and reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.mux = Multiplexer("asker", party="host")
        self.got: list[Frame] = []

    def say(self) -> None:
        """Send what is queued; it is little."""
        data = sent(self.mux)
        assert self.sock.send(data) == len(data)

    def read(self) -> None:
        """Take what the kernel has."""
        while True:
            try:
                data = self.sock.recv(MIB)
            except BlockingIOError:
                return
            self.got += self.mux.receive(data)

    async def read_until(self, count: int) -> None:
        """Take frames until there are so many replies."""
        while sum(isinstance(frame, Reply) for frame in self.got) < count:
            await turns(1)
            self.read()


class Server:
    """The driver's user: answers with large values, keeps what it is asked."""

    def __init__(self, pipe: Pipe, early: bytes = b"") -> None:
        self.mux = Multiplexer("server", party="agent")
        self.asked: list[Frame] = []
        self.driver = MuxDriver(pipe, self.mux, self.take, early=early)
        self.value = b"{}"

    def take(self, frames: list[Frame]) -> None:
        for frame in frames:
            self.asked.append(frame)
            if isinstance(frame, Request):
                self.mux.reply(frame.id, self.value)
            elif isinstance(frame, Cancel):
                raise MuxError("no cancelling here")


@contextmanager
def server_and_peer() -> Iterator[tuple[Server, Peer, "asyncio.Future[MuxEnd]"]]:
    with pipe_and_peer() as (pipe, sock):
        server, peer = Server(pipe), Peer(sock)
        run = asyncio.ensure_future(server.driver.run())
        peer.say()
        yield server, peer, run
        run.cancel()


async def greet(peer: Peer) -> None:
    await turns()
    peer.read()
    assert peer.mux.peer is not None


async def kernel_keeps(server: Server, peer: Peer, number: int) -> int:
    """Bytes of a stream that the kernel takes for a peer that does not read now."""
    server.mux.send(number, bytes(server.mux.sendable(number)))
    server.driver.wake()
    await turns()
    peer.read()
    await turns()
    under_way = bytearray(4)
    fcntl.ioctl(peer.sock, termios.FIONREAD, under_way)
    while server.mux.pending or server.driver.pipe.pending:
        peer.read()
        await turns()
    peer.read()
    return int.from_bytes(under_way, sys.byteorder)


async def test_less_is_under_way_while_there_are_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mux_driver, "QUIET", 3600.0)
    with server_and_peer() as (server, peer, _):
        await greet(peer)
        number = peer.mux.open("x", b"{}", credit=MIB)
        peer.say()
        await turns()
        server.mux.reply(number, b"{}")
        alone = await kernel_keeps(server, peer, number)
        peer.mux.grant(number, MIB)
        peer.mux.request("x", b"{}")
        peer.say()
        await turns()
        beside_a_call = await kernel_keeps(server, peer, number)
        monkeypatch.setattr(mux_driver, "QUIET", 0.0)
        peer.mux.grant(number, MIB)
        peer.say()
        await turns()
        alone_again = await kernel_keeps(server, peer, number)
        assert 0 < 2 * beside_a_call < min(alone, alone_again)


async def test_what_is_urgent_waits_for_one_frame_and_the_kernel() -> None:
    with server_and_peer() as (server, peer, _):
        await greet(peer)
        number = peer.mux.open("x", b"{}", credit=MIB)
        peer.say()
        await turns()
        server.mux.reply(number, b"{}")
        server.mux.send(number, bytes(MIB))
        server.driver.wake()
        await turns()
        pipe = server.driver.pipe
        assert 0 < pipe.pending < 2 * WRITE_BYTES
        under_way = MIB - server.mux.pending + FRAME_COST
        assert under_way < MIB / 2
        urgent = peer.mux.request("ping", b"{}")
        peer.say()
        await turns()
        await peer.read_until(2)
        before = peer.got[: peer.got.index(Reply(urgent, b"{}"))]
        assert sum(len(frame.data) for frame in before if isinstance(frame, Data)) <= under_way


async def test_a_peer_that_reads_nothing_waits_with_its_questions() -> None:
    with server_and_peer() as (server, peer, _):
        await greet(peer)
        server.value = bytes(MIB)
        for _ in range(20):
            peer.mux.request("x", b"{}")
            peer.say()
            await turns()
        assert CONTROL_BYTES <= server.mux.pending_control < CONTROL_BYTES + 2 * MIB
        assert len(server.asked) < 10
        await peer.read_until(20)
        assert not server.mux.congested
        assert [frame.id for frame in peer.got if isinstance(frame, Reply)] == list(range(1, 21))


async def test_a_violation_that_the_user_finds_ends_it() -> None:
    with server_and_peer() as (_, peer, run):
        await greet(peer)
        peer.mux.cancel(peer.mux.request("x", b"{}"))
        peer.say()
        end = await run
        assert end.violation
        assert end.reset_rest == b""
        assert "no cancelling here" in end.reason


async def test_what_came_before_a_violation_is_handed_on() -> None:
    with server_and_peer() as (server, peer, run):
        await greet(peer)
        peer.sock.send(encode(Request(1, "x", b"{}", b"{}")) + b"\x00")
        assert (await run).violation
        assert server.asked[-1] == Request(1, "x", b"{}", b"{}")


async def test_a_fault_of_the_user_comes_out_of_run() -> None:
    with pipe_and_peer() as (pipe, sock):

        def take(frames: list[Frame]) -> None:
            raise RuntimeError("a fault")

        driver = MuxDriver(pipe, Multiplexer("server"), take)
        Peer(sock).say()
        with pytest.raises(RuntimeError, match="a fault"):
            await driver.run()


async def test_early_bytes_are_taken_first() -> None:
    with pipe_and_peer() as (pipe, sock):
        early = sent(Multiplexer("asker")) + encode(Request(1, "x", b"{}", b"{}")) + RESET + b"{}"
        server = Server(pipe, early)
        end = await server.driver.run()
        assert [type(frame) for frame in server.asked][:2] == [Hello, Request]
        assert end == MuxEnd("the other side gave up the mux dialect", b"{}")
        sock.send(b'{"QMP"')
        assert await pipe.receive() == b'{"QMP"'


async def test_after_the_end_nothing_is_sent_or_waited_for() -> None:
    with server_and_peer() as (server, peer, run):
        await greet(peer)
        peer.sock.close()
        assert await run == MuxEnd("the other side left")
        assert not await server.driver.sent()
        server.mux.event(1, "X", b"{}", 0)
        server.driver.wake()
        await server.driver.flush()
        server.driver.reset()
        assert server.mux.pending


async def test_sent_tells_of_each_way_out() -> None:
    with server_and_peer() as (server, peer, _):
        await greet(peer)
        waiting = asyncio.ensure_future(server.driver.sent())
        await turns()
        assert not waiting.done()
        server.mux.event(1, "X", b"{}", 0)
        server.driver.wake()
        assert await waiting
        assert "<MuxDriver test <Multiplexer server" in repr(server.driver)
