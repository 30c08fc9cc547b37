"""The SDK: an agent is a class; its methods are the commands, its members the events."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from guestmux_protocol.registry import Data
from guestmux_session.backoff import Backoff
from guestmux_session.calls import MAX_CALLS, MAX_STREAMS
from guestmux_session.core import Core, Profile
from guestmux_session.declarations import commands_of
from guestmux_session.events import events_of
from guestmux_session.keep_connected import keep_connected
from guestmux_session.news import News
from guestmux_session.process import run_process
from guestmux_transport.bus import Bus
from guestmux_transport.bus_address import system_bus_address
from guestmux_transport.bus_limits import DEFAULT_BUS_LIMITS, BusLimits

SYSTEM_BUS = "system"
"""Stands for the system bus's address."""

CLAIM_VARIABLE = "GUESTMUX_SESSION"
"""The claim where none is given: the unit of an agent that a host has pushed for the system says `system`."""

logger = logging.getLogger(__name__)

# Cancel and Release must find room while all calls are running.
_SPARE_HANDLERS = 8


class Agent:
    """An agent: inherit from it, name it, declare commands and events, and call `main()` or `await run()`.

    Args:
        bus: a D-Bus address, or "system".
        session: a claim: logind's id of the session, where eventd could not tell by itself. It must be the user's own.
            $GUESTMUX_SESSION where it is not given.

    Attributes:
        name: what it calls itself, as `org.example.clock`; one of a name for each session.
        version: its version, for people.
        max_calls: calls that run at a time; eventd has at most 16 open to one agent.
        max_streams: streams that are open at a time; each may have 1 MiB under way.
        channel: whether to ask eventd for a channel, as streams and many events need; without, D-Bus carries all.
        bus_limits: what the bus connection may use up; `message_bytes` bounds a result.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    max_calls: ClassVar[int] = MAX_CALLS
    max_streams: ClassVar[int] = MAX_STREAMS
    channel: ClassVar[bool] = True
    bus_limits: ClassVar[BusLimits] = DEFAULT_BUS_LIMITS

    def __init__(self, *, bus: str = SYSTEM_BUS, session: str = "") -> None:
        self._address = system_bus_address() if bus == SYSTEM_BUS else bus
        self._news = News(logger, self.name)
        max_streams = self.max_streams if self.channel else None
        claim = session or os.environ.get(CLAIM_VARIABLE, "")
        profile = Profile(self.name, self.version, claim, self.max_calls, max_streams)
        self._core = Core(profile, self, commands_of(self), events_of(self), self._news)

    def __repr__(self) -> str:
        return f"<Agent {self.name} {self.session or 'NOT REGISTERED'}>"

    async def connected(self, bus: Bus) -> None:
        """Hook: a bus connection was made; nothing is registered yet. BusError is taken for a lost connection."""

    async def registered(self, session: str) -> None:
        """Hook: it was registered, at first or again; keep it short."""

    async def released(self, reason: str) -> None:
        """Hook: the registration ended; at most 2 s. It comes back by itself, unless the agent is stopping."""

    async def while_registered(self) -> None:
        """Hook: runs beside the commands while registered, cancelled when that ends. Watch things here."""

    @property
    def session(self) -> str:
        """The session that eventd tied it to, logind's id or `system`; empty while not registered."""
        return self._core.session

    @property
    def bus(self) -> Bus:
        """The connection to the bus that eventd is on.

        Raises:
            Disconnected: there is none at the moment.
        """
        return self._core.bus

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
        return await self._core.emit(event, data)

    async def post(self, event: str, data: Data | Mapping[str, Any]) -> None:
        """Send an event without waiting for its number: over a channel hundred thousands of them a second.

        It waits only while too many are under way. Why one was refused is logged, the same reason once.

        Raises:
            UndeclaredEvent, NotRegistered, Disconnected, InvalidArgument, TooLarge: as `emit`; it was not sent.
        """
        await self._core.post(event, data)

    async def claim(self, what: Literal["locked", "idle"], claims: Mapping[str, bool]) -> None:
        """Say whether the session is locked, or idle; it replaces what was said before, and ends with the registration.

        Hosts hear of it by SESSION_LOCK, SESSION_UNLOCK and SESSION_IDLE, beside what logind says.

        Args:
            what: `locked` or `idle`.
            claims: by who says it, 64 characters at most, whether it is so; empty: nothing is known.

        Raises:
            NotRegistered: there is no registration at the moment.
            Denied: the agent is in no user's session.
            InvalidArgument, LimitExceeded, Disconnected: as `emit`.
        """
        await self._core.claim(what, claims)

    def wanted(self, event: str) -> bool:
        """Whether a host subscribed to an event; there is no need to watch what nobody wants."""
        return self._core.wanted(event)

    def withheld(self, event: str) -> frozenset[str]:
        """The members of an event's data that do not leave the guest, as its administrator has it; `*` is all of them.

        eventd takes them out in any case; what a command answers is for the agent to go by it.
        """
        return self._core.withheld(event)

    async def until_wanted(self, *events: str) -> None:
        """Wait until a host has subscribed to an event, or to one of several."""
        await self._core.until_wanted(*events)

    async def until_unwanted(self, *events: str) -> None:
        """Wait until no host wants an event, or any of several, any more."""
        await self._core.until_unwanted(*events)

    def provide(self, part: object, *, only: Callable[[str], bool] = lambda _name: True) -> None:
        """Serve the commands that another object's class declares, too; registers anew where needed.

        Args:
            part: the object.
            only: whether to serve a command, by its name.

        Raises:
            TypeError: one of its commands is served already.
        """
        self._core.provide(part, only)

    def withdraw(self, part: object) -> None:
        """Serve the commands of an object no more; registers anew where needed."""
        self._core.withdraw(part)

    async def run(self) -> None:
        """Serve until cancelled; connects and registers again whenever bus or eventd come back."""
        limits = replace(self.bus_limits, handlers_per_sender=self.max_calls + _SPARE_HANDLERS)
        await keep_connected(
            self._address, self._core.live, news=self._news, backoff=Backoff(), limits=limits
        )

    def main(self) -> None:
        """Run until SIGTERM or SIGINT, as a service of systemd or by hand; logs to stderr unless logging is set up."""
        run_process(self.run, self._news)
