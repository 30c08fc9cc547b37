"""A pipe that tells a listener instead of a waiting task."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field

import pytest

from guestmux_transport.edge import edge_poller
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import READ_BYTES, Pipe
from tests.support.pipes import assert_idle, fill, pipe_and_peer, pty_pair, turns, until_readable

pytestmark = pytest.mark.anyio


@dataclass
class Recorder:
    """Reads what there is whenever it is told."""

    pipe: Pipe
    got: list[bytes | None] = field(default_factory=list)
    writable_calls: int = 0

    def readable(self) -> None:
        self.got.append(self.pipe.receive_now())
        while self.pipe.more and self.got[-1]:
            self.got.append(self.pipe.receive_now())

    def writable(self) -> None:
        self.writable_calls += 1

    @property
    def bytes_got(self) -> bytes:
        return b"".join(data for data in self.got if data)


async def test_it_is_told_of_what_was_there_before_and_of_what_comes() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.send(b"before")
        pipe.listen(recorder := Recorder(pipe))
        await turns()
        peer.send(b" after")
        await turns()
        assert recorder.bytes_got == b"before after"
        assert pipe.received == len(b"before after")
        await assert_idle()


async def test_the_end_that_comes_with_the_last_bytes_is_not_missed() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.listen(recorder := Recorder(pipe))
        await turns()
        peer.send(b"last words")
        peer.close()
        await turns()
        assert recorder.bytes_got == b"last words"
        assert recorder.got[-1] == b""


async def test_the_end_that_comes_after_the_last_bytes_is_not_missed() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.listen(recorder := Recorder(pipe))
        await turns()
        peer.send(b"last words")
        await turns()
        peer.shutdown(1)
        await turns()
        assert recorder.got[-1] == b""
        assert not pipe.gone


async def test_a_device_is_read_until_it_has_nothing_more() -> None:
    with pty_pair() as (master, path):
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        pipe = owned_pipe("device", fd, half_close=False)
        os.write(master, b"x" * 4000)
        await until_readable(fd)
        assert pipe.receive_now(1000)
        assert pipe.more
        while pipe.receive_now(1000) is not None:
            pass
        more: bool = pipe.more
        assert not more
        pipe.close()


async def test_it_is_told_when_all_was_taken() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.listen(recorder := Recorder(pipe))
        pipe.write(b"x" * (1 << 20))
        await turns()
        assert pipe.pending
        assert recorder.writable_calls == 0
        received = 0
        while received < 1 << 20:
            received += len(peer.recv(1 << 20))
            await turns()
        assert recorder.writable_calls == 1


async def test_after_it_a_task_receives_again() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.listen(recorder := Recorder(pipe))
        await turns()
        pipe.listen(None)
        peer.send(b"for the task")
        assert await pipe.receive() == b"for the task"
        assert recorder.bytes_got == b""


async def test_a_full_read_says_that_there_may_be_more() -> None:
    with pipe_and_peer() as (pipe, peer):
        assert fill(peer) > READ_BYTES
        assert len(pipe.receive_now() or b"") == READ_BYTES
        assert pipe.more


async def test_what_one_edge_raises_costs_no_other_its_own() -> None:
    with pipe_and_peer() as (pipe, peer), pipe_and_peer() as (other, other_peer):
        told: list[str] = []
        await turns()

        class Faulty(Recorder):
            def readable(self) -> None:
                told.append("faulty")
                raise ZeroDivisionError

        loop_errors: list[object] = []
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _loop, context: loop_errors.append(context["exception"]))
        other.listen(recorder := Recorder(other))
        await turns()
        pipe._listener = Faulty(pipe)
        edge_poller().soon(lambda: told.append("soon"))
        peer.send(b"x")
        other_peer.send(b"y")
        await turns()
        loop.set_exception_handler(before)
        pipe.listen(None)
        assert told == ["soon", "faulty"]
        assert [type(error) for error in loop_errors] == [ZeroDivisionError]
        assert recorder.bytes_got == b"y"
