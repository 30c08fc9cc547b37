"""Opens an agent's streams as eventd would: over a real mux connection, without eventd, agent or bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec

from guestmux_session.calls import CallTable
from guestmux_session.channel_service import ChannelService
from guestmux_session.declarations import commands_of
from guestmux_session.serving import Serving
from guestmux_transport.mux_connection import MuxConnection
from guestmux_transport.mux_errors import MuxRefused, StreamFailed
from guestmux_transport.mux_stream import MuxStream
from tests.support.mux_ends import pipe_pair

MAX_STREAMS = 1024


class Refused(Exception):
    """The stream was not opened, or failed; the text is what the host gets."""


class HostStream:
    """The host's end of one."""

    def __init__(self, stream: MuxStream) -> None:
        self.stream = stream
        self.reply: Any = json.loads(stream.reply)

    async def read(self, most: int = 65536) -> bytes:
        """The next bytes, or nothing at the end. Raises Refused."""
        try:
            return await self.stream.receive(most)
        except anyio.EndOfStream:
            return b""
        except StreamFailed as error:
            raise Refused(error.desc) from error

    async def read_all(self) -> bytes:
        """What comes up to the end. Raises Refused."""
        pieces = []
        while data := await self.read(1 << 20):
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
        """Send bytes. Raises Refused."""
        try:
            await self.stream.send(data)
        except StreamFailed as error:
            raise Refused(error.desc) from error

    async def end(self) -> None:
        """Send no more."""
        await self.stream.send_eof()

    async def result(self) -> Any:
        """The stream's result, once it has ended. Raises Refused."""
        try:
            text = await self.stream.result()
        except StreamFailed as error:
            raise Refused(error.desc) from error
        return None if text is None else json.loads(text)

    async def abort(self) -> None:
        """Give it up."""
        await self.stream.aclose()


class Streams:
    """Some parts' commands and streams, from the host's end of a connection."""

    def __init__(self, host: MuxConnection) -> None:
        self._host = host

    async def get(self, name: str, /, **arguments: Any) -> Any:
        """The result of a command. Raises Refused."""
        try:
            return json.loads(await self._host.call(name, _text(arguments)))
        except MuxRefused as error:
            raise Refused(error.desc) from error

    async def refused(self, name: str, /, **arguments: Any) -> str:
        """Why a stream is not opened."""
        try:
            async with self.open(name, **arguments):
                raise AssertionError("it was opened")
        except Refused as error:
            return str(error)

    @asynccontextmanager
    async def open(self, name: str, /, **arguments: Any) -> AsyncIterator[HostStream]:
        """Open a stream for as long as the block lasts. Raises Refused."""
        try:
            stream = await self._host.open(name, _text(arguments))
        except MuxRefused as error:
            raise Refused(error.desc) from error
        try:
            yield HostStream(stream)
        finally:
            stream.give_up()

    async def download(self, **arguments: Any) -> tuple[bytes, Any]:
        """What a download gives, and its result. Raises Refused."""
        async with self.open("guest-file-download", **arguments) as stream:
            return await stream.read_all(), await stream.result()

    async def upload(self, data: bytes, **arguments: Any) -> Any:
        """The result of an upload. Raises Refused."""
        async with self.open("guest-file-upload", **arguments) as stream:
            await stream.write(data)
            await stream.end()
            return await stream.result()


@asynccontextmanager
async def serving(*parts: object) -> AsyncIterator[Streams]:
    """Serve some parts for as long as the block lasts."""
    served = {name: entry for part in parts for name, entry in commands_of(part).items()}
    calls = CallTable()
    service = ChannelService(Serving(served, calls, _at_once), MAX_STREAMS)
    one, other = pipe_pair()
    host = MuxConnection(one, "asker", party="host")
    agent = MuxConnection(other, "server", party="agent", serve=service)
    service.connection = agent
    running = [asyncio.create_task(end.run()) for end in (host, agent)]
    try:
        yield Streams(host)
    finally:
        service.close("the test is over")
        calls.close()
        for end in running:
            end.cancel()
        await asyncio.wait(running)
        one.close()
        other.close()


async def _at_once() -> None:
    """It is registered."""


def _text(arguments: dict[str, Any]) -> bytes:
    return msgspec.json.encode({name.replace("_", "-"): value for name, value in arguments.items()})
