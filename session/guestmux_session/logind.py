"""logind's object for one session, as the session's own agent uses it (org.freedesktop.login1(5))."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from guestmux_session.provider import ProviderHost
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.names import PROPERTIES_INTERFACE
from guestmux_transport.values import Variant

LOGIN_NAME = "org.freedesktop.login1"
LOGIN_PATH = "/org/freedesktop/login1"
MANAGER_INTERFACE = "org.freedesktop.login1.Manager"
SESSION_INTERFACE = "org.freedesktop.login1.Session"

CALL_TIMEOUT = 10.0
"""Seconds: logind answers from memory, or asks polkit, which nobody sits in front of."""


class LoginSession:
    """The session object.

    Args:
        bus: the system bus.
        path: the object.
    """

    def __init__(self, bus: Bus, path: str) -> None:
        self._bus = bus
        self._path = path

    @classmethod
    async def of(cls, host: ProviderHost) -> LoginSession:
        """The session of an agent.

        Raises:
            BusError, Disconnected: logind has no such session, or cannot be reached.
        """
        reply = await host.bus.call(
            LOGIN_NAME,
            LOGIN_PATH,
            MANAGER_INTERFACE,
            "GetSession",
            "s",
            [host.session],
            timeout=CALL_TIMEOUT,
        )
        return cls(host.bus, str(reply.body[0]))

    async def ask(self, member: str) -> None:
        """Call a method that takes nothing: Lock, Unlock, Terminate.

        Raises:
            BusError: logind refused or cannot be reached.
        """
        await self._call(SESSION_INTERFACE, member)

    async def get(self, name: str) -> Any:
        """A property's value.

        Raises:
            BusError: there is none, or logind cannot be reached.
        """
        body = await self._call(PROPERTIES_INTERFACE, "Get", "ss", (SESSION_INTERFACE, name))
        return body[0].value if body and isinstance(body[0], Variant) else None

    @asynccontextmanager
    async def following(self, name: str, changed: Pulse) -> AsyncIterator[Callable[[], Any]]:
        """Follow a property for as long as a block lasts; gives what tells its value.

        Args:
            name: the property's.
            changed: beaten with each change.

        Raises:
            BusError: there is none, or logind cannot be reached.
        """
        value: Any = None

        def on_signal(signal: Signal) -> None:
            nonlocal value
            new = signal.body[1].get(name) if signal.signature == "sa{sv}as" else None
            if isinstance(new, Variant):
                value = new.value
                changed.beat()

        handle = await self._bus.add_signal_handler(
            sender=LOGIN_NAME,
            interface=PROPERTIES_INTERFACE,
            member="PropertiesChanged",
            path=self._path,
            handler=on_signal,
        )
        try:
            # The bus keeps the order: a change that is signalled before this answer is in it.
            value = await self.get(name)
            yield lambda: value
        finally:
            self._bus.remove_signal_handler(handle)

    async def _call(
        self, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> Sequence[Any]:
        reply = await self._bus.call(
            LOGIN_NAME, self._path, interface, member, signature, body, timeout=CALL_TIMEOUT
        )
        return reply.body
