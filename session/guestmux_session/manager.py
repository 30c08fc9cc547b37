"""org.guestmux.Manager1 as an agent sees it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from guestmux_session.errors import BadAnswer, Disconnected, ManagerRefused, from_bus
from guestmux_session.pulse import Pulse
from guestmux_session.wanted import EVERYTHING, NOTHING, Wanted
from guestmux_transport.bus import Bus
from guestmux_transport.bus_connection import Reply
from guestmux_transport.bus_signals import Signal
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import (
    DBUS_INTERFACE,
    DBUS_NAME,
    DBUS_PATH,
    MANAGER_INTERFACE,
    MANAGER_NAME,
    MANAGER_PATH,
    PROPERTIES_INTERFACE,
)
from guestmux_transport.values import Variant

CALL_TIMEOUT = 25.0
"""Seconds: eventd asks bus and logind who we are, and logind is slow while many log in."""

CHANNEL_VERSION = 1
"""The version of the frames on a channel."""

_NO_OWNER = "org.freedesktop.DBus.Error.NameHasNoOwner"


class Manager:
    """eventd's manager object, whoever owns its name at the moment.

    Args:
        bus: where it is.
        changed: beaten when owner, wanted or logins changed.

    Attributes:
        owner: the unique name of the process that owns the name now; None for nobody.
        wanted: the events that hosts subscribed to.
        withheld: by event what does not leave the guest of it, as eventd said at the registration.
        dropped: events of which nothing does.
        logins: how often sessions came or went since we listen; whoever was in none may be in one now.
    """

    def __init__(self, bus: Bus, changed: Pulse) -> None:
        self._bus = bus
        self.owner: str | None = None
        self.wanted = NOTHING
        self.withheld: dict[str, frozenset[str]] = {}
        self.dropped: frozenset[str] = frozenset()
        self.changed = changed
        self.logins = 0
        self._owner_signals = 0
        self._wanted_signals = 0

    def __repr__(self) -> str:
        return f"<Manager {self.owner or 'GONE'}>"

    async def start(self) -> None:
        """Find out who owns the name, and hear of it from now on.

        Raises:
            BusError: the bus is lost.
        """
        await self._bus.add_signal_handler(
            sender=DBUS_NAME,
            interface=DBUS_INTERFACE,
            member="NameOwnerChanged",
            path=DBUS_PATH,
            handler=self._on_owner,
        )
        await self._bus.add_signal_handler(
            sender=MANAGER_NAME,
            interface=PROPERTIES_INTERFACE,
            member="PropertiesChanged",
            path=MANAGER_PATH,
            handler=self._on_properties,
        )
        signals = self._owner_signals
        owner = await self._current_owner()
        if signals == self._owner_signals:
            self.owner = owner

    async def register(self, path: str, name: str, properties: dict[str, Variant]) -> str:
        """Register an agent.

        Returns:
            The session that it belongs to, logind's id or `system`.

        Raises:
            AgentError: eventd refused, left, or does not make sense.
        """
        await self._read_wanted()
        body = await self._call("RegisterAgent", "osa{sv}", (path, name, properties))
        if len(body) != 2 or not isinstance(body[0], str) or not body[0]:
            raise BadAnswer("eventd did not answer RegisterAgent with a session")
        self._granted(body[1])
        return body[0]

    async def unregister(self, path: str, timeout: float) -> None:
        """Take the registration back.

        Raises:
            AgentError: eventd refused, left, or did not answer in time.
        """
        await self._call("UnregisterAgent", "o", (path,), timeout)

    async def emit(self, event: str, data: dict[str, Variant]) -> int:
        """Emit an event; returns its number in the journal.

        Raises:
            AgentError: eventd refused, left, or does not make sense.
        """
        body = await self._call("Emit", "sa{sv}", (event, data))
        if len(body) != 1 or type(body[0]) is not int:
            raise BadAnswer("eventd did not answer Emit with a number")
        return body[0]

    async def claim(self, what: str, claims: dict[str, bool]) -> None:
        """Say what the agent's session is like.

        Raises:
            AgentError: eventd refused, left, or knows no such thing.
        """
        await self._call("Claim", "sa{sb}", (what, claims))

    async def acquire_channel(self, path: str) -> socket.socket:
        """Ask for the socket that calls, events and streams then run over.

        Args:
            path: the registered agent's object.

        Returns:
            Our end, not blocking; the caller's to close.

        Raises:
            AgentError: eventd has none, refused, left, or does not make sense.
        """
        reply = await self._ask(
            "AcquireChannel", "oa{sv}", (path, {"version": Variant("u", CHANNEL_VERSION)})
        )
        try:
            index = reply.body[0] if reply.signature == "ha{sv}" else -1
            fd = reply.fds.pop(index) if 0 <= index < len(reply.fds) else -1
        finally:
            close_fds(reply.fds)
        if fd < 0:
            raise BadAnswer("eventd did not answer AcquireChannel with a socket")
        return _stream_socket(fd)

    def _granted(self, granted: Any) -> None:
        """An eventd that says nothing of it withholds nothing."""
        withheld = _value(granted, "withheld", "a{sas}") or {}
        self.withheld = {event: frozenset(members) for event, members in withheld.items()}
        self.dropped = frozenset(_value(granted, "dropped", "as") or ())

    async def _read_wanted(self) -> None:
        signals = self._wanted_signals
        wanted = await self._get_wanted()
        if signals == self._wanted_signals:
            self.wanted = wanted

    async def _get_wanted(self) -> Wanted:
        try:
            body = await self._call(
                "Get", "ss", (MANAGER_INTERFACE, "WantedEvents"), interface=PROPERTIES_INTERFACE
            )
        except ManagerRefused:
            # Without the property nobody can say that an event is not wanted.
            return EVERYTHING
        return _patterns(body[0] if body else None) or EVERYTHING

    async def _current_owner(self) -> str | None:
        try:
            reply = await self._bus.call(
                DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, "GetNameOwner", "s", [MANAGER_NAME]
            )
        except CallError as error:
            if error.name == _NO_OWNER:
                return None
            raise
        return str(reply.body[0])

    async def _call(
        self,
        member: str,
        signature: str,
        body: Sequence[Any],
        timeout: float = CALL_TIMEOUT,
        interface: str = MANAGER_INTERFACE,
    ) -> Sequence[Any]:
        reply = await self._ask(member, signature, body, timeout, interface)
        close_fds(reply.fds)
        return reply.body

    async def _ask(
        self,
        member: str,
        signature: str,
        body: Sequence[Any],
        timeout: float = CALL_TIMEOUT,
        interface: str = MANAGER_INTERFACE,
    ) -> Reply:
        """Call the owner by its unique name: the well-known one may be another's by now, or start a new eventd."""
        if self.owner is None:
            raise Disconnected("eventd is not running")
        try:
            return await self._bus.call(
                self.owner, MANAGER_PATH, interface, member, signature, body, timeout=timeout
            )
        except BusError as error:
            raise from_bus(error) from error

    def _on_owner(self, signal: Signal) -> None:
        if signal.signature == "sss" and signal.body[0] == MANAGER_NAME:
            self._owner_signals += 1
            self.owner = signal.body[2] or None
            self.wanted = NOTHING
            self.changed.beat()

    def _on_properties(self, signal: Signal) -> None:
        if signal.signature != "sa{sv}as" or signal.body[0] != MANAGER_INTERFACE:
            return
        if "Sessions" in signal.body[1]:
            self.logins += 1
            self.changed.beat()
        wanted = _patterns(signal.body[1].get("WantedEvents"))
        if wanted is not None:
            self._wanted_signals += 1
            self.wanted = wanted
            self.changed.beat()


def _value(granted: Any, name: str, signature: str) -> Any:
    variant = granted.get(name) if isinstance(granted, dict) else None
    return variant.value if isinstance(variant, Variant) and variant.signature == signature else None


def _patterns(variant: Variant | None) -> Wanted | None:
    if not isinstance(variant, Variant) or variant.signature != "as":
        return None
    return Wanted(variant.value)


def _stream_socket(fd: int) -> socket.socket:
    try:
        connection = socket.socket(fileno=fd)
    except OSError as error:
        os.close(fd)
        raise BadAnswer("eventd gave something else than a socket as the channel") from error
    if (connection.family, connection.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
        connection.close()
        raise BadAnswer("eventd gave a socket of another kind as the channel")
    connection.setblocking(False)
    return connection
