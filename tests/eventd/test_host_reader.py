"""What a host sends: answered in order, not read while something waits, left alone once reading is to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from guestmux_eventd.host_reader import HostReader
from guestmux_protocol.incoming import Answered, Incoming
from guestmux_transport.owned_pipe import owned_pipe
from tests.support.pipes import turns

pytestmark = pytest.mark.anyio


class Letters:
    """A dialect in which each byte is a request that is its own answer."""

    def receive(self, data: bytes) -> list[Incoming]:
        return [Answered(bytes((letter,))) for letter in data]


class Host:
    """A connection whose small letters are answered at once; `W` has to wait, `F` fails, and `S` is the last."""

    def __init__(self) -> None:
        self.theirs, ours = socket.socketpair()
        ours.setblocking(False)
        self.pipe = owned_pipe("test", ours.detach())
        self.reader = HostReader(self.pipe, Letters(), self._answer, self._queue, self._send)
        self.queued: list[bytes] = []
        self.sent: list[bytes] = []
        self.may_queue = asyncio.Event()

    def _answer(self, incoming: Incoming) -> bytes | None:
        assert isinstance(incoming, Answered)
        if incoming.data == b"F":
            raise RuntimeError("on purpose")
        if incoming.data == b"S":
            self.reader.stop()
        return None if incoming.data == b"W" else incoming.data

    async def _queue(self, incoming: Incoming) -> None:
        await self.may_queue.wait()
        assert isinstance(incoming, Answered)
        self.queued.append(incoming.data)

    def _send(self, data: bytes) -> None:
        self.sent.append(data)


@asynccontextmanager
async def reading(early: bytes = b"") -> AsyncIterator[Host]:
    host = Host()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.reader.run, early)
            yield host
            host.theirs.shutdown(socket.SHUT_WR)
    finally:
        host.pipe.close()
        host.theirs.close()


async def test_what_comes_together_is_answered_together_and_in_order() -> None:
    async with reading(b"ab") as host:
        await turns()
        assert host.sent == [b"ab"]
        assert repr(host.reader) == "<HostReader test READING>"
        host.theirs.send(b"cde")
    assert host.sent == [b"ab", b"cde"]
    assert repr(host.reader) == "<HostReader test OVER>"


async def test_nothing_is_read_while_something_has_to_wait() -> None:
    async with reading() as host:
        host.theirs.send(b"aWb")
        await turns()
        assert repr(host.reader) == "<HostReader test STUCK>"
        received = host.pipe.received
        host.theirs.send(b"c")
        await turns()
        assert (host.sent, host.pipe.received) == ([b"a"], received)
        host.may_queue.set()
    assert (host.sent, host.queued) == ([b"a", b"b", b"c"], [b"W"])


async def test_what_comes_after_the_last_request_is_somebody_elses() -> None:
    async with reading() as host:
        host.theirs.send(b"aSb")
        await turns()
        host.theirs.send(b"c")
        await turns()
        assert host.sent == [b"aS"]
        assert await host.pipe.receive() == b"c"


async def test_what_goes_wrong_ends_the_connection() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with reading() as host:
            host.theirs.send(b"F")
    assert [str(error) for error in raised.value.exceptions] == ["on purpose"]
