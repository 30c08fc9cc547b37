"""logind's object for one session, as the session's own agent uses it (org.freedesktop.login1(5))."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

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

    async def ask_and_wait(self, member: str, name: str, value: object, seconds: float) -> Any:
        """Call a method and wait until a property has a value.

        Returns:
            The property's value then, or when the seconds were over.

        Raises:
            BusError: logind refused or cannot be reached.
        """
        pulse = Pulse()

        def on_signal(_signal: Signal) -> None:
            pulse.beat()

        handle = await self._bus.add_signal_handler(
            sender=LOGIN_NAME,
            interface=PROPERTIES_INTERFACE,
            member="PropertiesChanged",
            path=self._path,
            handler=on_signal,
        )
        try:
            await self.ask(member)
            return await self._wait_for(pulse, name, value, seconds)
        finally:
            self._bus.remove_signal_handler(handle)

    async def _wait_for(self, pulse: Pulse, name: str, value: object, seconds: float) -> Any:
        ends = anyio.current_time() + seconds
        changes = pulse.count
        while (current := await self.get(name)) != value and anyio.current_time() < ends:
            with anyio.CancelScope(deadline=ends):
                await pulse.wait_beyond(changes)
            changes = pulse.count
        return current

    async def _call(
        self, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> Sequence[Any]:
        reply = await self._bus.call(
            LOGIN_NAME, self._path, interface, member, signature, body, timeout=CALL_TIMEOUT
        )
        return reply.body
