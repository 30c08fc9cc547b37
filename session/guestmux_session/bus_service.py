"""Whether a service on a bus can be called: it runs, or the bus would start it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH


class BusService:
    """One service, on one bus connection.

    Args:
        bus: the connection.
        name: the service's bus name.
        changed: called when `lack` changed, or another process took over.

    Attributes:
        owner: the unique name of the process; None while it does not run.
    """

    def __init__(self, bus: Bus, name: str, changed: Callable[[], None]) -> None:
        self._bus = bus
        self._name = name
        self._changed = changed
        self._activatable = False
        self._signals = 0
        self.owner: str | None = None

    async def start(self) -> None:
        """Find out, and hear of changes from now on.

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
        await self._find()

    @property
    def lack(self) -> str:
        """Why it cannot be called; empty where it can."""
        return "" if self.owner or self._activatable else f"{self._name} is not on the bus"

    async def _find(self) -> None:
        signals = self._signals
        activatable = await self._ask("ListActivatableNames")
        names = await self._ask("ListNames")
        self._activatable = self._name in activatable
        if self._name in names and signals == self._signals:
            self.owner = str(await self._ask("GetNameOwner", "s", [self._name]))

    async def _ask(self, member: str, signature: str = "", body: Sequence[Any] = ()) -> Any:
        reply = await self._bus.call(DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, member, signature, body)
        return reply.body[0]

    def _on_owner(self, signal: Signal) -> None:
        if signal.signature == "sss" and signal.body[0] == self._name:
            self._signals += 1
            self.owner = signal.body[2] or None
            self._changed()
