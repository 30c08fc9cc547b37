"""What an agent is made of, apart from its class, so that an author's names cannot clash with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from guestmux_protocol.registry import Data, EventType
from guestmux_session.calls import CallTable
from guestmux_session.channel import Channel
from guestmux_session.declarations import Served, command_schema, commands_of, event_schema
from guestmux_session.emission import event_text
from guestmux_session.errors import (
    AgentError,
    Disconnected,
    InvalidArgument,
    ManagerRefused,
    NotRegistered,
    UndeclaredEvent,
    from_bus,
)
from guestmux_session.manager import Manager
from guestmux_session.membership import Membership
from guestmux_session.news import News
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.errors import BusError
from guestmux_transport.values import Variant, object_from_json

logger = logging.getLogger(__name__)


class Hooks(Protocol):
    """What an agent's author may write."""

    async def connected(self, bus: Bus) -> None:
        """A bus connection was made."""

    async def registered(self, session: str) -> None:
        """It was registered."""

    async def released(self, reason: str) -> None:
        """The registration ended."""

    async def while_registered(self) -> None:
        """Runs as long as the registration."""


@dataclass(frozen=True)
class Profile:
    """What an agent says of itself.

    Attributes:
        name: what it calls itself.
        version: its version.
        claim: the session that it claims; empty for none.
        max_calls: calls that run at a time.
        max_streams: streams at a time; None: it wants no channel.
    """

    name: str
    version: str
    claim: str
    max_calls: int
    max_streams: int | None


class Core:
    """Commands, events, and the registration as it stands.

    Args:
        profile: what the agent says of itself.
        hooks: is told what happens.
        served: its commands, by name.
        events: its events, by name.
        news: is told how things stand.

    Attributes:
        session: the session that eventd tied it to; empty while not registered.
        generation: a number that changes with the commands.
    """

    def __init__(
        self,
        profile: Profile,
        hooks: Hooks,
        served: dict[str, Served],
        events: Mapping[str, EventType],
        news: News,
    ) -> None:
        self.name = profile.name
        self.max_streams = profile.max_streams
        self.served = served
        self.generation = 0
        self.session = ""
        self._profile = profile
        self._hooks = hooks
        self._events = events
        self._news = news
        self._refusals = News(logger, f"{profile.name}: an event was refused")
        self._changed = Pulse()
        self._bus: Bus | None = None
        self._manager: Manager | None = None
        self._channel: Channel | None = None

    @property
    def bus(self) -> Bus:
        """The connection. Raises Disconnected."""
        if self._bus is None:
            raise Disconnected("the agent is not connected to the bus")
        return self._bus

    async def live(self, bus: Bus) -> None:
        """Be an agent on a bus connection, for as long as that is there.

        Raises:
            BusError: it is lost.
        """
        calls = CallTable(self._profile.max_calls)
        self._bus = bus
        self._manager = Manager(bus, self._changed)
        try:
            await Membership(self._manager, bus, self, calls, self._news).run(self._hooks.connected)
        finally:
            calls.close()
            self._bus = self._manager = None

    def properties(self, *, streams: bool) -> dict[str, Variant]:
        """What it declares, as RegisterAgent takes it; with its streams or without."""
        described = [served.description for served in self.served.values()]
        commands = {one.name: command_schema(one) for one in described if streams or not one.stream}
        events = {name: event_schema(event) for name, event in self._events.items()}
        properties = {
            "version": Variant("s", self._profile.version),
            "commands": Variant("a{ss}", commands),
            "events": Variant("a{ss}", events),
            "large-messages": Variant("b", True),
        }
        if self._profile.claim:
            properties["session"] = Variant("s", self._profile.claim)
        return properties

    async def entered(self, session: str, channel: Channel | None) -> None:
        """It was registered, and has a channel where eventd has them."""
        self.session = session
        self._channel = channel
        self._changed.beat()
        await self._hooks.registered(session)

    async def until_registered(self) -> None:
        """Wait until there is a session."""
        while not self.session:
            await self._changed.wait()

    async def left(self, reason: str) -> None:
        """The registration ended."""
        self.session = ""
        self._channel = None
        await self._hooks.released(reason)

    async def while_registered(self) -> None:
        """Runs as long as the registration."""
        await self._hooks.while_registered()

    async def emit(self, event: str, data: Data | Mapping[str, Any]) -> int:
        """Send an event; returns its number. Raises as `Agent.emit` says."""
        self._check_event(event)
        if self._channel is not None:
            return await self._channel.emission.emit(event, event_text(event, data))
        try:
            members = object_from_json(msgspec.to_builtins(data, str_keys=True))
        except BusError as error:
            raise from_bus(error) from error
        except TypeError as error:
            raise InvalidArgument(f"{event}: {error}") from error
        return await self._connected_manager().emit(event, members)

    async def post(self, event: str, data: Data | Mapping[str, Any]) -> None:
        """Send an event without waiting for its number. Raises as `Agent.post` says."""
        self._check_event(event)
        if self._channel is not None:
            await self._channel.emission.post(event, event_text(event, data))
            return
        try:
            await self.emit(event, data)
        except ManagerRefused as error:
            self.complain(error)

    async def claim(self, what: str, claims: Mapping[str, bool]) -> None:
        """Say what the session is like. Raises as `Agent.claim` says."""
        if not self.session:
            raise NotRegistered(f"{self.name} is not registered with eventd")
        await self._connected_manager().claim(what, dict(claims))

    def complain(self, error: AgentError) -> None:
        """Log why an event was refused whose sender does not wait; the same reason once."""
        self._refusals.tell(str(error), logging.WARNING)

    def _check_event(self, event: str) -> None:
        if event not in self._events:
            raise UndeclaredEvent(f"{self.name} declares no event '{event}'")
        if not self.session:
            raise NotRegistered(f"{self.name} is not registered with eventd")

    def _connected_manager(self) -> Manager:
        if self._manager is None:
            raise NotRegistered(f"{self.name} is not registered with eventd")
        return self._manager

    def wanted(self, event: str) -> bool:
        """Whether a host subscribed to an event, and is to hear of it."""
        if self._manager is None or not self.session or event in self._manager.dropped:
            return False
        return event in self._manager.wanted

    def withheld(self, event: str) -> frozenset[str]:
        """The members of an event's data that do not leave the guest; `*` is all of them."""
        return self._manager.withheld.get(event, frozenset()) if self._manager else frozenset()

    async def until_wanted(self, *events: str) -> None:
        """Wait until a host has subscribed to one of these."""
        while not any(map(self.wanted, events)):
            await self._changed.wait()

    async def until_unwanted(self, *events: str) -> None:
        """Wait until no host wants any of these."""
        while any(map(self.wanted, events)):
            await self._changed.wait()

    def provide(self, part: object, only: Callable[[str], bool]) -> None:
        """Serve commands of another object, those that `only` says. Raises TypeError: one is served already."""
        added = {name: served for name, served in commands_of(part).items() if only(name)}
        if taken := added.keys() & self.served.keys():
            raise TypeError(f"{self.name} serves '{min(taken)}' already")
        self.served.update(added)
        self._redeclare()

    def withdraw(self, part: object) -> None:
        """Serve the commands of an object no more."""
        for name in commands_of(part).keys() & self.served.keys():
            del self.served[name]
        self._redeclare()

    def _redeclare(self) -> None:
        self.generation += 1
        self._changed.beat()
