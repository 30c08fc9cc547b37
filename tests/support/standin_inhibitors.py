"""Stand-ins for the desktop's services that keep a session from going idle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.errors import MethodError


@dataclass(frozen=True)
class Kind:
    """What differs between the services."""

    name: str
    path: str
    signature: str
    release: str


GNOME = Kind("org.gnome.SessionManager", "/org/gnome/SessionManager", "susu", "Uninhibit")
SCREENSAVER = Kind("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver", "ss", "UnInhibit")


class StandinInhibitors:
    """One such service.

    Attributes:
        held: the arguments of what is held, by cookie.
        fail: the error that Inhibit gives.
    """

    def __init__(self, bus: Bus, kind: Kind) -> None:
        self._bus = bus
        self._kind = kind
        self.held: dict[int, list[Any]] = {}
        self.fail: MethodError | None = None
        self._last = 0
        self._changed = anyio.Event()

    def interface(self) -> Interface:
        return Interface(
            self._kind.name,
            methods={
                "Inhibit": (self._kind.signature, "u", self._inhibit),
                self._kind.release: ("u", "", self._release),
            },
        )

    async def until_held(self, count: int) -> None:
        """Wait until so many are held."""
        while len(self.held) != count:
            await self._changed.wait()

    def _inhibit(self, call: IncomingCall) -> Results:
        if self.fail is not None:
            raise self.fail
        self._last += 1
        self.held[self._last] = list(call.body)
        cookie = self._last
        self._bus.watch_sender(call.sender, lambda _sender: self._drop(cookie))
        self._wake()
        return (self._last,)

    def _release(self, call: IncomingCall) -> Results:
        self._drop(call.body[0])
        return ()

    def _drop(self, cookie: int) -> None:
        self.held.pop(cookie, None)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def standin_inhibitors(address: str, kind: Kind) -> AsyncIterator[StandinInhibitors]:
    """Run one on a bus for as long as the block lasts."""
    async with connect_bus(address) as bus:
        service = StandinInhibitors(bus, kind)
        bus.export(kind.path, service.interface())
        await bus.request_name(kind.name)
        yield service
