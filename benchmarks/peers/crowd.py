"""Agents that only are there, each with a bus connection. `python -m benchmarks.peers.crowd BUS SESSION N [WAY]`."""

from __future__ import annotations

import socket
import sys
from contextlib import AsyncExitStack

import anyio

from benchmarks.peers.worker import obey
from guestmux_protocol.mux import Multiplexer
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from guestmux_transport.values import Variant

GREETING_BYTES = 4096


class Crowd:
    """Registers an agent with a command each time it is told to.

    Args:
        stack: where their connections end.
        buses: their connections, made before anything is measured.
        session: where they are.
        channels: whether each has a channel as well.
    """

    def __init__(self, stack: AsyncExitStack, buses: list[Bus], session: str, *, channels: bool) -> None:
        self._stack = stack
        self._buses = buses
        self._session = session
        self._channels = channels

    async def register(self, _number: int) -> None:
        """Register one more."""
        bus = self._buses.pop()
        number = len(self._buses)
        path = f"/org/example/Crowd{number}"
        properties = {
            "session": Variant("s", self._session),
            "commands": Variant("a{ss}", {f"__org.example_crowd-{number}": "{}"}),
        }
        body = (path, f"org.example.crowd{number}", properties)
        await bus.call(MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, "RegisterAgent", "osa{sv}", body)
        if self._channels:
            await self._greet(bus, path)

    async def _greet(self, bus: Bus, path: str) -> None:
        reply = await bus.call(
            MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, "AcquireChannel", "oa{sv}", (path, {})
        )
        channel = self._stack.enter_context(socket.socket(fileno=reply.fds[reply.body[0]]))
        channel.sendall(Multiplexer("server").bytes_to_send(GREETING_BYTES))


async def run(address: str, session: str, count: int, way: str) -> None:
    """Connect for `count` agents, register them when told to, and stay until standard input ends."""
    async with AsyncExitStack() as stack:
        buses = [await stack.enter_async_context(connect_bus(address)) for _ in range(count)]
        await obey(Crowd(stack, buses, session, channels=way == "channel").register)


def main(address: str, session: str, count: str, way: str = "bus") -> None:
    """Be a crowd."""
    anyio.run(run, address, session, int(count), way)


if __name__ == "__main__":
    main(*sys.argv[1:])
