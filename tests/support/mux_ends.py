"""Both ends of a mux connection over a socket pair, and a server that does as it is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from guestmux_protocol.mux import DEFAULT_MUX_LIMITS, Event, Failure, Frame, Multiplexer, MuxLimits
from guestmux_transport.mux_connection import MuxConnection
from guestmux_transport.mux_stream import IncomingStream, MuxStream
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import Pipe

Handler = Callable[[MuxStream], Awaitable[None]]


def pipe_pair() -> tuple[Pipe, Pipe]:
    """Two pipes that are each other's other side."""
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return owned_pipe("one", one.detach()), owned_pipe("other", other.detach())


def sent(mux: Multiplexer, most: int = 1) -> bytes:
    """All that an end sends now."""
    pieces = []
    while piece := mux.bytes_to_send(most):
        pieces.append(piece)
    return b"".join(pieces)


def pass_on(source: Multiplexer, target: Multiplexer) -> list[Frame]:
    """What `target` makes of all that `source` sends now."""
    return target.receive(sent(source))


def greeted(
    limits: MuxLimits = DEFAULT_MUX_LIMITS, server_limits: MuxLimits | None = None
) -> tuple[Multiplexer, Multiplexer]:
    """An asker and a server that have greeted each other."""
    asker, server = Multiplexer("asker", limits), Multiplexer("server", server_limits or limits)
    assert pass_on(asker, server) == [server.peer]
    assert pass_on(server, asker) == [asker.peer]
    return asker, server


@dataclass
class EchoServer:
    """Answers `echo` with its arguments and `fail` with an error, keeps `wait` open, and gives streams to a handler.

    Attributes:
        handler: runs each accepted stream; streams of the command `refuse` are refused, of `later` kept.
        cancelled: what was cancelled.
        broken: what was broken.
        kept: streams that nobody answered.
        streams: what was accepted.
    """

    handler: Handler | None = None
    cancelled: list[int] = field(default_factory=list)
    broken: list[tuple[int, Failure]] = field(default_factory=list)
    kept: list[IncomingStream] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    streams: list[MuxStream] = field(default_factory=list)
    tasks: list[asyncio.Future[None]] = field(default_factory=list)
    connection: MuxConnection | None = None

    def request(
        self, number: int, command: str, untrusted_arguments: bytes, untrusted_context: bytes
    ) -> None:
        assert self.connection is not None
        if command == "echo":
            self.connection.reply(number, untrusted_arguments + untrusted_context)
        elif command == "wait":
            self.waiting.append(number)
        else:
            self.connection.error(number, "GenericError", f"no {command} here")

    def open(self, incoming: IncomingStream) -> None:
        if incoming.command == "refuse":
            incoming.refuse("GenericError", "refused")
        elif incoming.command == "later":
            self.kept.append(incoming)
        else:
            self.tasks.append(asyncio.ensure_future(self._serve(incoming)))

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)

    def failed(self, number: int, failure: Failure) -> None:
        self.broken.append((number, failure))

    async def _serve(self, incoming: IncomingStream) -> None:
        stream = await incoming.accept(incoming.arguments)
        self.streams.append(stream)
        if self.handler:
            await self.handler(stream)


@dataclass
class Ends:
    """A host and an agent, connected, and what the host got of events."""

    host: MuxConnection
    agent: MuxConnection
    server: EchoServer
    host_pipe: Pipe
    agent_pipe: Pipe
    events: list[list[Event]]
    acks: list[tuple[int, int | None]]
    naks: list[tuple[int, str, str]]


@asynccontextmanager
async def mux_ends(
    handler: Handler | None = None,
    *,
    limits: MuxLimits = DEFAULT_MUX_LIMITS,
    server_limits: MuxLimits | None = None,
) -> AsyncIterator[Ends]:
    """Two MuxConnections that run, until the block ends."""
    host_pipe, agent_pipe = pipe_pair()
    server = EchoServer(handler)
    ends = Ends(
        MuxConnection(
            host_pipe, "asker", party="host", on_events=lambda e: ends.events.append(e), limits=limits
        ),
        MuxConnection(
            agent_pipe,
            "server",
            party="agent",
            serve=server,
            on_ack=lambda *ack: ends.acks.append(ack),
            on_nak=lambda *nak: ends.naks.append(nak),
            limits=server_limits or limits,
        ),
        server,
        host_pipe,
        agent_pipe,
        [],
        [],
        [],
    )
    server.connection = ends.agent
    runs = [asyncio.ensure_future(ends.host.run()), asyncio.ensure_future(ends.agent.run())]
    try:
        yield ends
    finally:
        host_pipe.close()
        agent_pipe.close()
        await asyncio.gather(*runs)
        await asyncio.gather(*server.tasks, return_exceptions=True)
