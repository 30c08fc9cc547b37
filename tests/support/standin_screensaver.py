"""A stand-in for a desktop's screensaver service, and for one that does not behave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.errors import MethodError

GNOME = "org.gnome.ScreenSaver"

LIMITS = BusLimits(queued_bytes=64 << 20)
"""One that floods has to be able to."""


class StandinScreenSaver:
    """The service.

    Attributes:
        active: what it says.
        calls: what it was asked, in order.
        obeys: it does what it is asked to.
        silent: it answers nothing.
        nonsense: it answers with text.
    """

    def __init__(self, bus: Bus, name: str) -> None:
        self.bus = bus
        self.name = name
        self.path = "/" + name.replace(".", "/")
        self.active = False
        self.calls: list[str] = []
        self.obeys = True
        self.silent = False
        self.nonsense = False
        self._called = anyio.Event()

    def interface(self) -> Interface:
        takes = "s" if "cinnamon" in self.name else ""
        returns = "s" if self.nonsense else "b"
        return Interface(
            self.name,
            methods={
                "GetActive": ("", returns, self._get_active),
                "Lock": (takes, "", self._lock),
                "SetActive": ("b", "", self._set_active),
            },
        )

    def turn(self, active: bool) -> None:
        """The user locks the screen, or comes back."""
        self.active = active
        self.bus.emit(self.path, self.name, "ActiveChanged", "b", [active])

    async def asked(self, member: str, times: int = 1) -> None:
        """Wait until it was asked something so often."""
        while self.calls.count(member) < times:
            await self._called.wait()

    async def _get_active(self, _call: IncomingCall) -> Results:
        self._note("GetActive")
        if self.silent:
            await anyio.sleep_forever()
        return ("yes" if self.nonsense else self.active,)

    def _lock(self, _call: IncomingCall) -> Results:
        self._note("Lock")
        self._obey(True)
        return ()

    def _set_active(self, call: IncomingCall) -> Results:
        self._note("SetActive")
        self._obey(call.body[0])
        return ()

    def _obey(self, active: bool) -> None:
        if not self.obeys:
            raise MethodError("org.freedesktop.DBus.Error.NotSupported", "not that one")
        self.turn(active)

    def _note(self, member: str) -> None:
        self.calls.append(member)
        self._called.set()
        self._called = anyio.Event()


@asynccontextmanager
async def standin_screensaver(
    address: str, name: str = GNOME, **behaviour: Any
) -> AsyncIterator[StandinScreenSaver]:
    """Run one on a bus for as long as the block lasts."""
    async with connect_bus(address, limits=LIMITS) as bus:
        saver = StandinScreenSaver(bus, name)
        for member, value in behaviour.items():
            setattr(saver, member, value)
        bus.export(saver.path, saver.interface())
        await bus.request_name(name)
        yield saver
