"""eventd's end of an agent's channel, for tests: asks, answers events, and can be made to misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import anyio

from guestmux_protocol.mux import Event
from guestmux_transport.mux_connection import MuxConnection
from guestmux_transport.mux_stream import MuxStream
from guestmux_transport.owned_pipe import owned_pipe


class StandinChannel:
    """One channel, in use from the beginning.

    Attributes:
        events: those that came.
        answer: answers an event; takes it and the channel. By default each is acknowledged with its own number.
        connection: the frames' way; `mux` below it takes what no connection would send.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.pipe = owned_pipe("channel", sock.detach())
        self.events: list[Event] = []
        self.answer: Callable[[StandinChannel, Event], None] = _acknowledge
        self.connection = MuxConnection(self.pipe, "asker", party="host", on_events=self._take)
        self._changed = anyio.Event()
        self.task = asyncio.ensure_future(self.connection.run())

    async def call(
        self, command: str, arguments: dict[str, Any] | None = None, *, deadline: float = 20.0
    ) -> Any:
        """Call a command; MuxRefused where it fails."""
        context = json.dumps({"deadline": deadline, "port": "qmp"}).encode()
        text = json.dumps(arguments or {}).encode()
        return json.loads(await self.connection.call(command, text, context))

    async def open(
        self, command: str, arguments: dict[str, Any] | None = None, *, deadline: float = 20.0
    ) -> MuxStream:
        """Open a stream; MuxRefused where it fails."""
        context = json.dumps({"deadline": deadline, "port": "qmp"}).encode()
        return await self.connection.open(command, json.dumps(arguments or {}).encode(), context)

    async def until_events(self, count: int) -> None:
        """Wait until so many came."""
        while len(self.events) < count:
            await self._changed.wait()

    def close(self) -> None:
        """Leave."""
        self.pipe.close()

    async def over(self) -> None:
        """Wait until the agent has left."""
        await asyncio.wait([self.task])

    def _take(self, events: list[Event]) -> None:
        for event in events:
            self.events.append(event)
            self.answer(self, event)
        self._changed.set()
        self._changed = anyio.Event()


def _acknowledge(channel: StandinChannel, event: Event) -> None:
    channel.connection.ack(event.seq, event.seq)
