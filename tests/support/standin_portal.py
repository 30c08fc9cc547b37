"""A stand-in for the desktop's portal, and for the user whom it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.errors import MethodError

NAME = "org.freedesktop.portal.Desktop"
PATH = "/org/freedesktop/portal/desktop"


class StandinPortal:
    """The portal.

    Attributes:
        opened: the URIs that it was asked for.
        answer: what it says of each: 0 opened, 1 the user said no, 2 it failed; None: nothing.
        fail: the error that OpenURI gives.
        closed: how many requests were given up.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.opened: list[str] = []
        self.answer: int | None = 0
        self.fail: MethodError | None = None
        self.closed = 0
        self._changed = anyio.Event()

    def interface(self) -> Interface:
        return Interface(
            "org.freedesktop.portal.OpenURI", methods={"OpenURI": ("ssa{sv}", "o", self._open_uri)}
        )

    async def until(self, *, opened: int = 0, closed: int = 0) -> None:
        """Wait until so much has happened."""
        while len(self.opened) < opened or self.closed < closed:
            await self._changed.wait()

    def _open_uri(self, call: IncomingCall) -> Results:
        if self.fail is not None:
            raise self.fail
        _window, uri, options = call.body
        sender = call.sender.removeprefix(":").replace(".", "_")
        request = f"{PATH}/request/{sender}/{options['handle_token'].value}"
        self._bus.export(
            request, Interface("org.freedesktop.portal.Request", methods={"Close": ("", "", self._close)})
        )
        self.opened.append(uri)
        if self.answer is not None:
            self._bus.emit(request, "org.freedesktop.portal.Request", "Response", "ua{sv}", [self.answer, {}])
        self._wake()
        return (request,)

    def _close(self, _call: IncomingCall) -> Results:
        self.closed += 1
        self._wake()
        return ()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def standin_portal(address: str, **options: Any) -> AsyncIterator[StandinPortal]:
    """Run a portal on a bus for as long as the block lasts; options are its attributes."""
    async with connect_bus(address) as bus:
        portal = StandinPortal(bus)
        for name, value in options.items():
            setattr(portal, name, value)
        bus.export(PATH, portal.interface())
        await bus.request_name(NAME)
        yield portal
