"""Agents that only are there, each on a connection of its own. `python -m benchmarks.peers.crowd ADDRESS SESSION N`."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack

import anyio

from benchmarks.peers.worker import obey
from guestmux_transport.bus import connect_bus
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from guestmux_transport.values import Variant


async def run(address: str, session: str, count: int) -> None:
    """Register `count` agents with a command each, and stay until standard input ends."""
    async with AsyncExitStack() as stack:
        for number in range(count):
            bus = await stack.enter_async_context(connect_bus(address))
            properties = {
                "session": Variant("s", session),
                "commands": Variant("a{ss}", {f"__org.example_crowd-{number}": "{}"}),
            }
            body = (f"/org/example/Crowd{number}", f"org.example.crowd{number}", properties)
            await bus.call(MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, "RegisterAgent", "osa{sv}", body)
        await obey(_nothing)


async def _nothing(_number: int) -> None:
    """They only are there."""


if __name__ == "__main__":
    anyio.run(run, sys.argv[1], sys.argv[2], int(sys.argv[3]))
