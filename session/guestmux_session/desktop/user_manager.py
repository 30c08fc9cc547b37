"""The user's own systemd and session bus, as far as desktop providers use them (org.freedesktop.systemd1(5))."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from guestmux_session.desktop.errors import DisplayError, DisplayLost, DisplayUnavailable
from guestmux_session.pulse import Pulse
from guestmux_session.verbs.surroundings_session import MANAGER_INTERFACE, SYSTEMD_NAME, SYSTEMD_PATH
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal, SignalHandle
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import PROPERTIES_INTERFACE

CALL_TIMEOUT = 5.0
"""Seconds: it answers from memory."""

_SIGNALS = (
    (MANAGER_INTERFACE, "UnitNew"),
    (MANAGER_INTERFACE, "UnitRemoved"),
    (MANAGER_INTERFACE, "JobRemoved"),
    (PROPERTIES_INTERFACE, "PropertiesChanged"),
)
"""What tells that a unit came, went, or ended by itself."""


class UserManager:
    """It is there while the session bus is. A source watches it as it would a display's connection.

    Attributes:
        lost_reason: why there is none; None while there is one.
    """

    def __init__(self) -> None:
        self.bus: Bus | None = None
        self.lost_reason: str | None = "no session bus"
        self._changed = Pulse()

    async def attach(self, bus: Bus) -> None:
        """Use a connection to the session bus."""
        self.bus, self.lost_reason = bus, None
        self._changed.beat()

    def detach(self, lack: str) -> None:
        """There is no connection."""
        self.bus, self.lost_reason = None, lack
        self._changed.beat()

    async def wait_lost(self) -> None:
        """Wait until there is no session bus."""
        while self.lost_reason is None:
            await self._changed.wait()

    async def ask(self, member: str, signature: str = "", body: Sequence[Any] = ()) -> Sequence[Any]:
        """Call the service manager.

        Raises:
            DisplayUnavailable: it refuses, or is not there.
            DisplayLost: the session bus ended.
        """
        if self.bus is None:
            raise DisplayLost(self.lost_reason or "no session bus")
        try:
            reply = await self.bus.call(
                *(SYSTEMD_NAME, SYSTEMD_PATH, MANAGER_INTERFACE, member),
                *(signature, body),
                timeout=CALL_TIMEOUT,
            )
        except CallError as error:
            raise DisplayUnavailable(f"the user's systemd: {error.text or error.name}") from error
        except BusError as error:
            raise DisplayLost(f"the user's systemd: {error}") from error
        return reply.body

    async def watch(self, handler: Callable[[Signal], None]) -> list[SignalHandle]:
        """Hear of units that come, change and go.

        Raises:
            DisplayError: as `ask`.
        """
        bus = self.bus
        handles: list[SignalHandle] = []
        if bus is None:
            raise DisplayLost(self.lost_reason or "no session bus")
        try:
            for interface, member in _SIGNALS:
                handle = await bus.add_signal_handler(
                    sender=SYSTEMD_NAME, interface=interface, member=member, handler=handler
                )
                handles.append(handle)
            # Without a subscriber it tells of nothing.
            await self.ask("Subscribe")
        except BusError as error:
            raise DisplayLost(f"the user's systemd: {error}") from error
        except DisplayError:
            self.unwatch(handles)
            raise
        return handles

    def unwatch(self, handles: Sequence[SignalHandle]) -> None:
        """Hear of them no more; it then tells nobody."""
        if self.bus is None:
            return
        for handle in handles:
            self.bus.remove_signal_handler(handle)
        with suppress(BusError):
            self.bus.tell(SYSTEMD_NAME, SYSTEMD_PATH, MANAGER_INTERFACE, "Unsubscribe")
