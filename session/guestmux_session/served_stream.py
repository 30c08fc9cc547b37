"""A stream as the method that serves it sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import anyio

RECEIVE_BYTES = 64 * 1024
"""Most that one receive() gives, unless told otherwise: a frame's worth."""


class Wire(Protocol):
    """The stream below: a `MuxStream`."""

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Give the next bytes; EndOfStream after the asker's clean end."""

    async def send(self, item: bytes) -> None:
        """Send bytes as the asker gives credit."""


class Offer(Protocol):
    """A stream that was asked for and not answered yet: an `IncomingStream`."""

    async def accept(self, reply: bytes) -> Wire:
        """Open it."""


class ServedStream:
    """A byte stream between a host and this agent; a method marked with `stream` or `stream_of` is given one.

    It is open once `accept` was called. What the method returns is the stream's result, which the host is told with
    the end. CommandError before `accept` refuses the stream, later it ends it as failed; either way the host gets the
    text. When the host gives the stream up, or the registration ends, the method is cancelled.

    Args:
        command: the stream's command.
        port: the name of the host's port; empty where eventd did not say.
        offer: opens it.
        encode: gives a reply as JSON, and CommandError where it is not the declared one.
        finish: ends our side with a result.
    """

    def __init__(
        self,
        command: str,
        port: str,
        offer: Offer,
        encode: Callable[[Any], bytes],
        finish: Callable[[Wire, Any], None],
    ) -> None:
        self.command = command
        self.port = port
        self._offer = offer
        self._encode = encode
        self._finish = finish
        self._wire: Wire | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"<ServedStream {self.command} {self.state}>"

    @property
    def state(self) -> str:
        """`ASKED` before `accept`, `OPEN`, or `ENDED` when nothing can be sent any more."""
        if self._ended:
            return "ENDED"
        return "OPEN" if self._wire is not None else "ASKED"

    async def accept(self, reply: Any = None) -> None:
        """Open the stream.

        Args:
            reply: what its command answers: of the declared type.

        Raises:
            CommandError: the reply is not of that type.
        """
        self._wire = await self._offer.accept(self._encode(reply))

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Give the next bytes, at least one.

        What is not received is not sent: the host may have a window of it under way, no more.

        Raises:
            anyio.EndOfStream: the host sends no more.
        """
        return await self._open().receive(max_bytes)

    def __aiter__(self) -> ServedStream:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def send(self, data: bytes) -> None:
        """Send bytes, of any number, as fast as the host takes them."""
        if self._ended:
            raise anyio.ClosedResourceError
        await self._open().send(data)

    async def send_eof(self, result: Any = None) -> None:
        """Say that nothing more will be sent. What the host sends may still be received.

        Args:
            result: the stream's result, which cannot be told later; the method then returns None.
        """
        wire = self._open()
        if not self._ended:
            self._ended = True
            self._finish(wire, result)

    def _open(self) -> Wire:
        if self._wire is None:
            raise RuntimeError(f"{self.command}: accept() the stream first")
        return self._wire
