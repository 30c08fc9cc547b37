"""Opens an agent's streams as eventd would, without eventd, agent or bus: both ends in this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import msgspec

from guestmux_protocol.schema import InvalidParameter, validate
from guestmux_session.declarations import Served, commands_of
from guestmux_session.errors import CommandError
from guestmux_session.pulse import Pulse
from guestmux_session.served_stream import RECEIVE_BYTES, ServedStream

WINDOW = 1 << 20


class Direction:
    """Bytes on their way, up to a window of them."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.size = 0
        self.ended = False
        self.changed = Pulse()

    async def put(self, data: bytes) -> None:
        for start in range(0, len(data), RECEIVE_BYTES):
            while self.size >= WINDOW:
                await self.changed.wait()
            frame = bytes(data[start : start + RECEIVE_BYTES])
            self.waiting.append(frame)
            self.size += len(frame)
            self.changed.beat()

    async def get(self) -> bytes:
        while not self.waiting:
            if self.ended:
                raise anyio.EndOfStream
            await self.changed.wait()
        data = self.waiting.popleft()
        self.size -= len(data)
        self.changed.beat()
        return data

    def end(self) -> None:
        self.ended = True
        self.changed.beat()


class Refused(Exception):
    """The stream was not opened, or failed; the text is what the host gets."""


class AgentEnd:
    """What the agent's ServedStream stands on."""

    port = ""

    def __init__(self, served: Served) -> None:
        self.command = served.description.name
        self.state = "ASKED"
        self.to_host, self.to_agent = Direction(), Direction()
        self.opened = asyncio.Event()
        self.reply: Any = None
        self.result: Any = None
        self._returns = served.description.returns

    async def accept(self, reply: Any) -> None:
        self.reply = msgspec.to_builtins({} if reply is None else reply)
        validate(self._returns, self.reply, "return")
        self.state = "OPEN"
        self.opened.set()

    async def receive(self, max_bytes: int) -> bytes:
        assert max_bytes >= RECEIVE_BYTES
        return await self.to_agent.get()

    async def send(self, data: bytes) -> None:
        await self.to_host.put(data)

    def end(self, result: Any) -> None:
        self.state = "ENDED"
        self.result = msgspec.to_builtins(result)
        self.to_host.end()


class HostStream:
    """The host's end."""

    def __init__(self, served: Served, arguments: dict[str, Any]) -> None:
        self._end = AgentEnd(served)
        self.task = asyncio.create_task(self._run(served, arguments))

    async def _run(self, served: Served, arguments: dict[str, Any]) -> None:
        try:
            value = await served.prepare(arguments)(ServedStream(self._end))
            if self._end.state == "OPEN":
                self._end.end(value)
        except (CommandError, InvalidParameter) as error:
            raise Refused(str(error)) from error
        finally:
            self._end.to_host.end()
            self._end.opened.set()

    async def opened(self) -> None:
        """Wait until it is open. Raises Refused."""
        await self._end.opened.wait()
        if self._end.state == "ASKED":
            await self.task

    @property
    def reply(self) -> Any:
        """What opening it was answered with."""
        return self._end.reply

    async def read(self) -> bytes:
        """The next bytes, or nothing at the end."""
        try:
            return await self._end.to_host.get()
        except anyio.EndOfStream:
            return b""

    async def read_all(self) -> bytes:
        """What comes up to the end."""
        pieces = []
        while data := await self.read():
            pieces.append(data)
        return b"".join(pieces)

    async def until(self, text: bytes) -> bytes:
        """What comes up to some text."""
        data = b""
        while text not in data:
            piece = await self.read()
            assert piece, data
            data += piece
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        await self._end.to_agent.put(data)

    def end(self) -> None:
        """Send no more."""
        self._end.to_agent.end()

    async def result(self) -> Any:
        """The stream's result, once it has ended. Raises Refused."""
        await self.task
        return self._end.result

    async def abort(self) -> None:
        """Give it up."""
        self.task.cancel()
        with suppress(asyncio.CancelledError, Refused):
            await self.task


class Streams:
    """Some parts' streams."""

    def __init__(self, *parts: object) -> None:
        self._served = {name: served for part in parts for name, served in commands_of(part).items()}

    @asynccontextmanager
    async def open(self, name: str, **arguments: Any) -> AsyncIterator[HostStream]:
        """Open one for as long as the block lasts. Raises Refused."""
        served = self._served[name]
        assert served.description.stream
        stream = HostStream(served, {key.replace("_", "-"): value for key, value in arguments.items()})
        try:
            await stream.opened()
            yield stream
        finally:
            await stream.abort()

    async def refused(self, name: str, **arguments: Any) -> str:
        """Why one is not opened."""
        try:
            async with self.open(name, **arguments):
                raise AssertionError("it was opened")
        except Refused as error:
            return str(error)

    async def download(self, **arguments: Any) -> tuple[bytes, Any]:
        """What a download gives, and its result."""
        async with self.open("guest-file-download", **arguments) as stream:
            return await stream.read_all(), await stream.result()

    async def upload(self, data: bytes, **arguments: Any) -> Any:
        """The result of an upload."""
        async with self.open("guest-file-upload", **arguments) as stream:
            await stream.write(data)
            stream.end()
            return await stream.result()
