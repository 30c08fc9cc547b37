"""One stream that eventd asked for, from the question to the last byte."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec

from guestmux_protocol.json_text import JsonError, encode
from guestmux_protocol.mux import MuxTooLarge
from guestmux_session.declarations import Served
from guestmux_session.errors import CommandError
from guestmux_session.served_stream import ServedStream
from guestmux_session.serving import internal_error, written
from guestmux_transport.mux_errors import MuxLost, StreamFailed
from guestmux_transport.mux_stream import IncomingStream, MuxStream


class StreamCall:
    """Runs a stream's method, and does to the channel what that wants done.

    Args:
        served: the stream's command.
        prepared: makes the call of its method.
        incoming: eventd's question.
        port: the host's port.

    Attributes:
        when_open: called once it is open.
    """

    def __init__(
        self,
        served: Served,
        prepared: Callable[..., Awaitable[Any]],
        incoming: IncomingStream,
        port: str,
    ) -> None:
        self.command = served.description.name
        self.port = port
        self._served = served
        self._prepared = prepared
        self._incoming = incoming
        self.when_open: Callable[[], None] | None = None
        self._stream: MuxStream | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"<StreamCall {self.command} {self.state}>"

    @property
    def state(self) -> str:
        """`ASKED`, `OPEN`, or `ENDED` when nothing can be sent any more."""
        if self._ended:
            return "ENDED"
        return "OPEN" if self._stream is not None else "ASKED"

    async def run(self) -> None:
        """Run the method; what the host still sends after it is thrown away, so that it does not wait for ever.

        Raises:
            CommandError: the method failed, or the host gave it up.
        """
        result = await self._prepared(ServedStream(self))
        if self._stream is None:
            raise internal_error(self.command, "returned without accept()")
        if not self._ended:
            self.end(result)
        elif result is not None:
            raise internal_error(self.command, "returned a result after send_eof()")
        await self._drain(self._stream)

    async def accept(self, reply: Any) -> None:
        """Answer. Raises CommandError: the reply is not what was declared, or the host gave it up."""
        _, text = written(self._served, reply)
        try:
            self._stream = await self._incoming.accept(text)
        except MuxLost as error:
            raise CommandError(f"given up: {error}") from error
        except MuxTooLarge as error:
            raise CommandError(f"the reply cannot be passed on: {error}") from error
        if self.when_open is not None:
            self.when_open()

    async def receive(self, max_bytes: int) -> bytes:
        """Give the next bytes. Raises EndOfStream; CommandError: the host gave it up."""
        try:
            return await self._open().receive(max_bytes)
        except (StreamFailed, MuxLost) as error:
            raise CommandError(f"given up: {error}") from error

    async def send(self, data: bytes) -> None:
        """Send bytes. Raises CommandError: the host gave it up."""
        try:
            await self._open().send(data)
        except (StreamFailed, MuxLost) as error:
            raise CommandError(f"given up: {error}") from error

    def end(self, result: Any) -> None:
        """Send nothing more. Raises CommandError: the result is nothing that JSON has."""
        try:
            text = None if result is None else encode(msgspec.to_builtins(result, str_keys=True))
        except (TypeError, ValueError, RecursionError, JsonError) as error:
            raise internal_error(self.command, f"returned what JSON has not: {error}") from error
        try:
            self._open().close(text)
        except MuxTooLarge as error:
            raise CommandError(f"the result cannot be passed on: {error}") from error
        self._ended = True

    def fail(self, error_class: str, desc: str) -> None:
        """Refuse the stream, or break it."""
        self._ended = True
        if self._stream is None:
            self._incoming.refuse(error_class, desc)
        else:
            self._stream.fail(error_class, desc)

    async def _drain(self, stream: MuxStream) -> None:
        try:
            while True:
                await stream.receive()
        except (anyio.EndOfStream, StreamFailed, MuxLost):
            return

    def _open(self) -> MuxStream:
        if self._stream is None:
            raise RuntimeError(f"{self.command} is not open")
        return self._stream
