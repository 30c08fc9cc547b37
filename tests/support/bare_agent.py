"""An agent of bare D-Bus calls, which can do what no SDK would let it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.names import AGENT_INTERFACE, MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from guestmux_transport.values import Variant, from_json, object_from_json, to_json

LIMITS = BusLimits(message_bytes=128 << 20, queued_bytes=256 << 20)
"""As much as D-Bus itself allows: a hostile agent keeps to no limits of ours."""


class BareAgent:
    """One bus client with one agent object.

    Attributes:
        cancelled: the ids of calls that eventd cancelled.
        called: the commands that eventd called.
        released: set once eventd ended the registration.
        behave: what a command does; gives the result, or raises.
        answer: makes the whole answer to a call, for those that no agent should give.
    """

    path = "/org/example/Agent"

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.cancelled: list[int] = []
        self.called: list[str] = []
        self.released = anyio.Event()
        self.behave: Callable[[IncomingCall], Any] = lambda call: call.body[0]
        self.answer: Callable[[IncomingCall], Awaitable[Results]] = self._answer
        bus.export(
            self.path,
            Interface(
                AGENT_INTERFACE,
                methods={
                    "Call": ("sa{sv}a{sv}", "a{sv}", self._call),
                    "Cancel": ("t", "", self._cancel),
                    "Release": ("", "", self._release),
                },
            ),
        )

    async def register(self, name: str = "org.example.bare", **properties: Any) -> str:
        """Register; gives the session that eventd says it is in."""
        given = {key: Variant(*value) for key, value in properties.items()}
        reply = await self.manager("RegisterAgent", "osa{sv}", self.path, name, given)
        return str(reply[0])

    async def emit(self, event: str, **data: Any) -> int:
        (seq,) = await self.manager("Emit", "sa{sv}", event, object_from_json(data))
        return int(seq)

    async def manager(self, member: str, signature: str = "", *body: Any) -> Any:
        reply = await self.bus.call(MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, member, signature, body)
        return reply.body

    async def _call(self, call: IncomingCall) -> Results:
        self.called.append(call.body[0])
        return await self.answer(call)

    async def _answer(self, call: IncomingCall) -> Results:
        result = self.behave(call)
        if hasattr(result, "__await__"):
            result = await result
        return ({"return": from_json(result)},)

    def _release(self, _call: IncomingCall) -> Results:
        self.released.set()
        return ()

    def _cancel(self, call: IncomingCall) -> Results:
        self.cancelled.append(to_json(call.body[0]))
        return ()


@asynccontextmanager
async def bare_agent(address: str) -> AsyncIterator[BareAgent]:
    """Connect a bare agent for as long as the block lasts."""
    async with connect_bus(address, limits=LIMITS) as bus:
        yield BareAgent(bus)


async def never() -> None:
    """Never answer."""
    await anyio.sleep_forever()
