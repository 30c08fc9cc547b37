"""A stand-in for eventd's manager: takes registrations and events, and calls agents as eventd does."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Property, Results
from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.errors import MethodError
from guestmux_transport.names import (
    AGENT_INTERFACE,
    ERROR_PREFIX,
    MANAGER_INTERFACE,
    MANAGER_NAME,
    MANAGER_PATH,
)
from guestmux_transport.values import Variant, object_from_json, to_json
from tests.support.standin_channel import StandinChannel

# More calls to one agent than eventd ever has open, to see the agent's own limit.
LIMITS = BusLimits(pending_per_destination=64, pending_calls=1024)


@dataclass
class Registered:
    """What an agent said when it registered."""

    sender: str
    path: str
    name: str
    version: str
    commands: dict[str, str]
    events: dict[str, str]
    claim: str


class StandinManager:
    """The manager object.

    Attributes:
        agents: the registered ones, by sender.
        log: what happened, in order: ("registered", name), ("unregistered", name), ("emit", event, data),
            ("claim", what, claims).
        refuse: the error for the next registrations; None takes them.
        session: the session that every agent is told to be in.
        granted: what else is granted with it.
        channels: those that were acquired, in order; each is logged as ("channel", sender).
        channel_answer: the error for the next AcquireChannel.
        refuse_streams: whether it knows no streams, as an eventd of before.
        raw_bytes: if any, all that the next channel says.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.agents: dict[str, Registered] = {}
        self.log: list[tuple[Any, ...]] = []
        self.refuse: MethodError | None = None
        self.session: Any = "c2"
        self.granted: dict[str, Variant] = {}
        self.emit_answer: MethodError | None = None
        self.emit_number = True
        self.claim_answer: MethodError | None = None
        self.channels: list[StandinChannel] = []
        self.channel_answer: MethodError | None = None
        self.raw_bytes = b""
        self.refuse_streams = False
        self._raw: list[socket.socket] = []
        self._wanted: list[str] = []
        self._changed = anyio.Event()

    def interface(self, *, emit_out: str = "t", wanted: bool = True, channel_out: str = "") -> Interface:
        self.emit_number = bool(emit_out)
        channels = {"AcquireChannel": ("oa{sv}", channel_out, self._acquire)} if channel_out else {}
        properties = {"WantedEvents": Property("as", lambda: self._wanted)} if wanted else {}
        return Interface(
            MANAGER_INTERFACE,
            methods={
                "RegisterAgent": ("osa{sv}", "sa{sv}", self._register),
                "UnregisterAgent": ("o", "", self._unregister),
                "Emit": ("sa{sv}", emit_out, self._emit),
                "Claim": ("sa{sb}", "", self._claim),
                **channels,
            },
            properties=properties,
        )

    def want(self, *patterns: str) -> None:
        """Hosts subscribe to these."""
        self._wanted = list(patterns)
        self.bus.properties_changed(MANAGER_PATH, MANAGER_INTERFACE, "WantedEvents")

    async def channel(self, number: int = 1) -> StandinChannel:
        """Wait for the channel of that number."""
        while len(self.channels) < number:
            await self._changed.wait()
        return self.channels[number - 1]

    async def close_channels(self) -> None:
        """Leave them all."""
        for sock in self._raw:
            sock.close()
        for channel in self.channels:
            channel.close()
            await channel.over()

    async def agent(self, name: str | None = None) -> Registered:
        """Wait until an agent is registered."""
        while True:
            for agent in self.agents.values():
                if name in {None, agent.name}:
                    return agent
            await self._changed.wait()

    async def agent_with(self, command: str) -> Registered:
        """Wait until an agent serves a command."""
        while command not in (agent := await self.agent()).commands:
            await self._changed.wait()
        return agent

    async def agent_without(self, command: str) -> Registered:
        """Wait until an agent serves a command no more."""
        while command in (agent := await self.agent()).commands:
            await self._changed.wait()
        return agent

    async def changed(self) -> None:
        """Wait for the next log entry."""
        await self._changed.wait()

    async def logged(self, *entry: Any) -> None:
        """Wait for a log entry that begins so."""
        while not any(got[: len(entry)] == entry for got in self.log):
            await self._changed.wait()

    async def call(
        self,
        agent: Registered,
        command: str,
        arguments: dict[str, Any] | None = None,
        *,
        call_id: int = 1,
        deadline: float = 20.0,
        context: dict[str, Variant] | None = None,
    ) -> Any:
        """Call a command; CallError where it fails."""
        if context is None:
            context = {"id": Variant("t", call_id), "deadline": Variant("d", deadline)}
        body = (command, object_from_json(arguments or {}), context)
        reply = await self.bus.call(agent.sender, agent.path, AGENT_INTERFACE, "Call", "sa{sv}a{sv}", body)
        return to_json(reply.body[0]["return"])

    async def cancel(self, agent: Registered, call_id: int) -> None:
        await self.bus.call(agent.sender, agent.path, AGENT_INTERFACE, "Cancel", "t", [call_id])

    async def release(self, agent: Registered) -> None:
        del self.agents[agent.sender]
        await self.bus.call(agent.sender, agent.path, AGENT_INTERFACE, "Release")

    def _register(self, call: IncomingCall) -> Results:
        if self.refuse is not None:
            self._note("refused", call.body[1])
            raise self.refuse
        path, name, properties = call.body
        if self.refuse_streams and '"stream"' in str(properties["commands"]):
            raise MethodError(ERROR_PREFIX + "InvalidArgument", "what is a stream?")
        said = {key: to_json(value) for key, value in properties.items()}
        self.agents[call.sender] = Registered(
            call.sender,
            path,
            name,
            said.get("version", ""),
            said.get("commands", {}),
            said.get("events", {}),
            said.get("session", ""),
        )
        self.bus.watch_sender(call.sender, lambda sender: self._gone(sender))
        self._note("registered", name)
        return (self.session, {"version": Variant("s", "stand-in"), **self.granted})

    def _unregister(self, call: IncomingCall) -> Results:
        agent = self.agents.pop(call.sender, None)
        if agent is None:
            raise MethodError(ERROR_PREFIX + "NotRegistered", "no such agent")
        self._note("unregistered", agent.name)
        return ()

    def _emit(self, call: IncomingCall) -> Results:
        if self.emit_answer is not None:
            raise self.emit_answer
        event, data = call.body
        self._note("emit", event, to_json(data))
        return (len(self.log),) if self.emit_number else ()

    def _claim(self, call: IncomingCall) -> Results:
        if self.claim_answer is not None:
            self._note("claim refused")
            raise self.claim_answer
        self._note("claim", *call.body)
        return ()

    def _acquire(self, call: IncomingCall) -> Results:
        if self.channel_answer is not None:
            raise self.channel_answer
        ours, theirs = socket.socketpair()
        call.reply_fds.append(theirs.detach())
        if self.raw_bytes:
            ours.send(self.raw_bytes)
            self.raw_bytes = b""
            self._raw.append(ours)
        else:
            self.channels.append(StandinChannel(ours))
        self._note("channel", call.sender)
        return (0, {})

    def _gone(self, sender: str) -> None:
        agent = self.agents.pop(sender, None)
        if agent is not None:
            self._note("gone", agent.name)

    def _note(self, *entry: Any) -> None:
        self.log.append(entry)
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def standin_manager(address: str, *, channel_out: str = "") -> AsyncIterator[StandinManager]:
    """Run a manager on a bus for as long as the block lasts.

    Args:
        address: the bus's.
        channel_out: what AcquireChannel answers; without it there is none, as in an eventd of before.
    """
    async with connect_bus(address, limits=LIMITS) as bus:
        manager = StandinManager(bus)
        bus.export(MANAGER_PATH, manager.interface(channel_out=channel_out))
        await bus.request_name(MANAGER_NAME)
        try:
            yield manager
        finally:
            await manager.close_channels()
