"""One end of a mux connection in tests: the real machine over a bare socket; the test decides what is read when."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import anyio

from guestmux_protocol.mux import (
    Close,
    Data,
    Error,
    Event,
    Frame,
    Hello,
    Multiplexer,
    MuxLimits,
    Reply,
    Reset,
    Role,
)
from tests.support.host import RawHost

Kind = TypeVar("Kind", bound=Frame)


class MuxEnd:
    """A host, or an agent, on its connection to eventd.

    Args:
        sock: taken over.
        role: `asker` for a host, `server` for an agent.
        limits: what it announces.
    """

    def __init__(self, sock: socket.socket, role: Role, limits: MuxLimits | None = None) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.mux = Multiplexer(role, limits or MuxLimits())
        self.frames: deque[Frame] = deque()

    async def greet(self) -> Hello:
        """Send HELLO, and give the other's."""
        await self.flush()
        return await self.next(Hello)

    async def flush(self) -> None:
        """Send what is queued."""
        while data := self.mux.bytes_to_send(1 << 20):
            await self.write(data)

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(self.sock)

    async def receive(self) -> None:
        """Take in some bytes.

        Raises:
            EOFError: eventd closed it.
        """
        await anyio.wait_readable(self.sock)
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError("eventd closed it")
        self.frames += self.mux.receive(data)
        await self.flush()

    async def next(self, kind: type[Kind], wanted: Callable[[Kind], bool] = lambda _frame: True) -> Kind:
        """The next frame of a kind; others stay, to be asked for."""
        while True:
            for frame in self.frames:
                if isinstance(frame, kind) and wanted(frame):
                    self.frames.remove(frame)
                    return frame
            await self.receive()

    async def closed(self) -> None:
        """Wait until eventd closes it."""
        try:
            while True:
                await self.receive()
        except EOFError:
            return

    def close(self) -> None:
        """Leave."""
        self.sock.close()

    # What hosts do

    async def ask(self, command: str, arguments: bytes = b"{}") -> Reply | Error:
        """Ask, and give the answer."""
        number = self.mux.request(command, arguments)
        await self.flush()
        return await self.answer(number)

    async def value(self, command: str, arguments: bytes = b"{}") -> Any:
        """The result of a command that has to succeed."""
        answer = await self.ask(command, arguments)
        assert isinstance(answer, Reply), answer
        return json.loads(answer.value)

    async def answer(self, number: int) -> Reply | Error:
        """The answer to what was asked."""
        return await self.next(Reply | Error, lambda frame: frame.id == number)  # type: ignore[arg-type]  # a union

    async def open(self, command: str, arguments: bytes = b"{}", credit: int = 0) -> int:
        """Open a stream that is accepted."""
        number = self.mux.open(command, arguments, credit=credit)
        await self.flush()
        answer = await self.answer(number)
        assert isinstance(answer, Reply), answer
        return number

    # What both do

    async def send(self, stream: int, data: bytes) -> None:
        """Send bytes, as far as there is credit waiting for more."""
        while data:
            room = self.mux.sendable(stream)
            if not room:
                await self.receive()
                continue
            self.mux.send(stream, data[:room])
            data = data[room:]
            await self.flush()

    async def data(self, stream: int, size: int, *, grant: bool = True) -> bytes:
        """The next bytes of a stream, that many; credit is given for what came."""
        data = b""
        while len(data) < size:
            piece = (await self.next(Data, lambda frame: frame.stream == stream)).data
            data += piece
            if grant:
                self.mux.grant(stream, len(piece))
                await self.flush()
        return data

    async def close_of(self, stream: int) -> Close:
        """The other side's CLOSE."""
        return await self.next(Close, lambda frame: frame.stream == stream)

    async def event(self, name: str = "") -> Event:
        """The next event."""
        return await self.next(Event, lambda frame: not name or frame.name == name)


async def mux_host(host: RawHost, limits: MuxLimits | None = None) -> MuxEnd:
    """A host that negotiated `qmp`, gone over to mux."""
    assert (await host.ask("guest-mux-upgrade"))["return"] == {"version": 1}
    end = MuxEnd(host.sock, "asker", limits)
    end.frames += end.mux.receive(host.take_rest())
    await end.greet()
    return end


async def back_in_json(end: MuxEnd) -> RawHost:
    """The same host after eventd fell back to JSON: its greeting is what comes next."""
    reset = await end.next(Reset)
    host = RawHost(end.sock)
    host.take_back(reset.rest)
    return host
