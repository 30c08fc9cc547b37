"""A stream as the method that serves it sees it."""

from __future__ import annotations

from typing import Any, Protocol

import anyio

RECEIVE_BYTES = 64 * 1024
"""Most that one receive() gives, unless told otherwise: a frame's worth."""


class StreamEnds(Protocol):
    """What a stream's method does to the channel below: a `StreamCall`."""

    command: str
    port: str

    @property
    def state(self) -> str:
        """`ASKED`, `OPEN`, or `ENDED` when nothing can be sent any more."""

    async def accept(self, reply: Any) -> None:
        """Answer."""

    async def receive(self, max_bytes: int) -> bytes:
        """Give the next bytes."""

    async def send(self, data: bytes) -> None:
        """Send bytes."""

    def end(self, result: Any) -> None:
        """Send nothing more."""


class ServedStream:
    """A byte stream between a host and this agent; a method marked with `stream` or `stream_of` is given one.

    It is open once `accept` was called. What the method returns is the stream's result, which the host is told with
    the end. CommandError before `accept` refuses the stream, later it breaks it; either way the host gets the text.
    When the host gives the stream up, or the registration ends, the method is cancelled.

    Attributes:
        command: the stream's command.
        port: the name of the host's port; empty where eventd did not say.
    """

    def __init__(self, ends: StreamEnds) -> None:
        self.command = ends.command
        self.port = ends.port
        self._ends = ends

    def __repr__(self) -> str:
        return f"<ServedStream {self.command} {self.state}>"

    @property
    def state(self) -> str:
        """`ASKED` before `accept`, `OPEN`, or `ENDED` when nothing can be sent any more."""
        return self._ends.state

    async def accept(self, reply: Any = None) -> None:
        """Open the stream.

        Args:
            reply: what its command answers, of the declared type; left out for an empty object.

        Raises:
            CommandError: the reply is not of that type.
        """
        if self.state != "ASKED":
            raise RuntimeError(f"{self.command}: accept() was called before")
        await self._ends.accept(reply)

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Give the next bytes, at least one.

        What is not received is not sent: at most a window of it (1 MiB) is under way.

        Raises:
            anyio.EndOfStream: the host sends no more.
        """
        self._check_open()
        return await self._ends.receive(max_bytes)

    def __aiter__(self) -> ServedStream:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def send(self, data: bytes) -> None:
        """Send bytes, of any number, as fast as the host takes them.

        Raises:
            anyio.ClosedResourceError: after send_eof().
        """
        state = self._ends.state
        if state != "OPEN":
            self._check_open()
            raise anyio.ClosedResourceError
        await self._ends.send(data)

    async def send_eof(self, result: Any = None) -> None:
        """Say that nothing more will be sent. What the host sends may still be received.

        Args:
            result: the stream's result: it is told here, and the method returns None.
        """
        self._check_open()
        if self.state == "OPEN":
            self._ends.end(result)

    def _check_open(self) -> None:
        if self.state == "ASKED":
            raise RuntimeError(f"{self.command}: accept() the stream first")
