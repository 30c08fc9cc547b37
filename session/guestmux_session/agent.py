"""The SDK: an agent is a class; its methods are the commands, its members the events."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from guestmux_protocol.registry import Data
from guestmux_session.backoff import Backoff
from guestmux_session.calls import MAX_CALLS, CallTable
from guestmux_session.declarations import Served, command_schema, commands_of, event_schema
from guestmux_session.errors import Disconnected, NotRegistered, UndeclaredEvent, from_bus
from guestmux_session.events import events_of
from guestmux_session.keep_connected import keep_connected
from guestmux_session.manager import Manager
from guestmux_session.membership import Membership
from guestmux_session.news import News
from guestmux_session.process import run_process
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.bus_address import system_bus_address
from guestmux_transport.bus_limits import DEFAULT_BUS_LIMITS, BusLimits
from guestmux_transport.errors import BusError
from guestmux_transport.values import Variant, object_from_json

SYSTEM_BUS = "system"
"""Stands for the system bus's address."""

logger = logging.getLogger(__name__)

# Cancel and Release must find room while all calls are running.
_SPARE_HANDLERS = 8


class Agent:
    """An agent: inherit from it, name it, declare commands and events, and call `main()` or `await run()`.

    Args:
        bus: a D-Bus address, or "system".
        session: a claim: logind's id of the session, where eventd could not tell by itself. It must be the user's own.

    Attributes:
        name: what it calls itself, as `org.example.clock`; one of a name for each session.
        version: its version, for people.
        max_calls: calls that run at a time; eventd has at most 16 open to one agent.
        bus_limits: what the bus connection may use up; `message_bytes` bounds a result.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    max_calls: ClassVar[int] = MAX_CALLS
    bus_limits: ClassVar[BusLimits] = DEFAULT_BUS_LIMITS

    def __init__(self, *, bus: str = SYSTEM_BUS, session: str = "") -> None:
        self._address = system_bus_address() if bus == SYSTEM_BUS else bus
        self._claim = session
        self._served = commands_of(self)
        self._events = events_of(self)
        self._membership: Membership | None = None
        self._bus: Bus | None = None
        self._generation = 0
        self._session = ""
        self._changed = Pulse()
        self.news = News(logger, self.name)

    def __repr__(self) -> str:
        return f"<Agent {self.name} {self._session or 'NOT REGISTERED'}>"

    # ---- for its author -------------------------------------------------------------------------------------------

    @property
    def session(self) -> str:
        """The session that eventd tied it to, logind's id or `system`; empty while not registered."""
        return self._session

    @property
    def bus(self) -> Bus:
        """The connection to the bus that eventd is on.

        Raises:
            Disconnected: there is none at the moment.
        """
        if self._bus is None:
            raise Disconnected("the agent is not connected to the bus")
        return self._bus

    async def connected(self, bus: Bus) -> None:
        """Hook: a bus connection was made; nothing is registered yet. BusError is taken for a lost connection."""

    async def registered(self, session: str) -> None:
        """Hook: it was registered, at first or again; keep it short."""

    async def released(self, reason: str) -> None:
        """Hook: the registration ended; at most 2 s. It comes back by itself, unless the agent is stopping."""

    async def while_registered(self) -> None:
        """Hook: runs beside the commands while registered, cancelled when that ends. Watch things here."""

    async def emit(self, event: str, data: Data | Mapping[str, Any]) -> int:
        """Send an event to the host, and to the journal for a host that is not there now.

        Returns:
            The event's number in eventd's journal.

        Raises:
            UndeclaredEvent: the class does not declare it.
            NotRegistered: there is no registration at the moment.
            LimitExceeded: too many events a second.
            InvalidArgument, TooLarge: the data do not fit.
            Disconnected: eventd went before it answered; the event may or may not have been taken.
            AgentError: root of all these.
        """
        if event not in self._events:
            raise UndeclaredEvent(f"{type(self).__name__} declares no event '{event}'")
        if self._membership is None or not self._session:
            raise NotRegistered(f"{self.name} is not registered with eventd")
        plain = msgspec.to_builtins(data, str_keys=True)
        try:
            members = object_from_json(plain)
        except BusError as error:
            raise from_bus(error) from error
        return await self._membership.manager.emit(event, members)

    def wanted(self, event: str) -> bool:
        """Whether a host subscribed to an event; there is no need to watch what nobody wants."""
        return (
            self._membership is not None and bool(self._session) and event in self._membership.manager.wanted
        )

    async def until_wanted(self, event: str) -> None:
        """Wait until a host has subscribed to an event."""
        while not self.wanted(event):
            await self._changed.wait()

    def provide(self, part: object) -> None:
        """Serve the commands that another object's class declares, too; registers anew where needed.

        Raises:
            TypeError: one of its commands is served already.
        """
        added = commands_of(part)
        if taken := added.keys() & self._served.keys():
            raise TypeError(f"{self.name} serves '{min(taken)}' already")
        self._served.update(added)
        self._redeclare()

    def withdraw(self, part: object) -> None:
        """Serve the commands of an object no more; registers anew where needed."""
        for name in commands_of(part).keys() & self._served.keys():
            del self._served[name]
        self._redeclare()

    def main(self) -> None:
        """Run until SIGTERM or SIGINT, as a service of systemd or by hand; logs to stderr unless logging is set up."""
        run_process(self)

    async def run(self) -> None:
        """Serve until cancelled; connects and registers again whenever bus or eventd come back."""
        limits = replace(self.bus_limits, handlers_per_sender=self.max_calls + _SPARE_HANDLERS)
        await keep_connected(self._address, self._live, news=self.news, backoff=Backoff(), limits=limits)

    # ---- for the membership ---------------------------------------------------------------------------------------

    @property
    def served(self) -> Mapping[str, Served]:
        """The commands now, by name."""
        return self._served

    @property
    def generation(self) -> int:
        """A number that changes with the commands."""
        return self._generation

    def properties(self) -> dict[str, Variant]:
        """What it declares, as RegisterAgent takes it."""
        commands = {name: command_schema(served.description) for name, served in self._served.items()}
        events = {name: event_schema(event) for name, event in self._events.items()}
        properties = {
            "version": Variant("s", self.version),
            "commands": Variant("a{ss}", commands),
            "events": Variant("a{ss}", events),
        }
        if self._claim:
            properties["session"] = Variant("s", self._claim)
        return properties

    async def entered(self, session: str) -> None:
        """It was registered."""
        self._session = session
        self._changed.beat()
        await self.registered(session)

    async def left(self, reason: str) -> None:
        """The registration ended."""
        self._session = ""
        await self.released(reason)

    async def _live(self, bus: Bus) -> None:
        calls = CallTable(self.max_calls)
        self._bus = bus
        self._membership = Membership(Manager(bus, self._changed), bus, self, calls, self.news)
        try:
            await self._membership.run(self.connected)
        finally:
            calls.close()
            self._bus = self._membership = None

    def _redeclare(self) -> None:
        self._generation += 1
        self._changed.beat()
