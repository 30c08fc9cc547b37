"""Opens URIs by the desktop's portal (org.freedesktop.portal.OpenURI, of xdg-desktop-portal)."""

from __future__ import annotations

import os
from contextlib import suppress

import anyio

from guestmux_session.errors import CommandError
from guestmux_session.explained import explained
from guestmux_session.pulse import Pulse
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.values import Variant

NAME = "org.freedesktop.portal.Desktop"
PATH = "/org/freedesktop/portal/desktop"
INTERFACE = "org.freedesktop.portal.OpenURI"
REQUEST_INTERFACE = "org.freedesktop.portal.Request"

CALL_TIMEOUT = 10.0
"""Seconds for the portal to take a request; the bus may have to start it."""

ANSWER_SECONDS = 20.0
"""Seconds to wait for what became of it: longer only where it asks the user, who may take his time."""

_OPENED, _CANCELLED = 0, 1
_NOT_THERE = "org.freedesktop.DBus.Error."
"""What errors of the bus begin with, and of GDBus about methods that nobody has; the portal's own are others."""


class NoPortal(Exception):
    """The session has no portal, or one that opens no URIs."""


class _Answer:
    """What the portal says became of a request."""

    def __init__(self) -> None:
        self.code: int | None = None
        self._told = Pulse()

    def on_signal(self, signal: Signal) -> None:
        if signal.signature == "ua{sv}" and self.code is None:
            self.code = signal.body[0]
            self._told.beat()

    async def wait(self) -> int:
        while self.code is None:
            await self._told.wait()
        return self.code


async def open_by_portal(bus: Bus, uri: str) -> bool:
    """Open a URI that is no file's; gives whether it is confirmed that it was.

    Raises:
        NoPortal: there is none.
        CommandError: the portal does not open it, or the user does not want it opened.
    """
    token = f"guestmux_{os.urandom(8).hex()}"
    # The object of the request, where it is known before the call (org.freedesktop.portal.Request).
    sender = bus.unique_name.removeprefix(":").replace(".", "_")
    request = f"{PATH}/request/{sender}/{token}"
    answer = _Answer()
    with explained("the desktop's portal could not open it"):
        handle = await bus.add_signal_handler(
            sender=NAME,
            interface=REQUEST_INTERFACE,
            member="Response",
            path=request,
            handler=answer.on_signal,
        )
        try:
            await _ask(bus, uri, token)
            return await _confirmed(answer)
        except anyio.get_cancelled_exc_class():
            _give_up(bus, request)
            raise
        finally:
            bus.remove_signal_handler(handle)


async def _ask(bus: Bus, uri: str, token: str) -> None:
    body = ["", uri, {"handle_token": Variant("s", token)}]
    try:
        await bus.call(NAME, PATH, INTERFACE, "OpenURI", "ssa{sv}", body, timeout=CALL_TIMEOUT)
    except CallError as error:
        # A portal that refuses is not gone round.
        if error.name.startswith(_NOT_THERE):
            raise NoPortal from error
        raise


async def _confirmed(answer: _Answer) -> bool:
    code: int | None = None
    with anyio.move_on_after(ANSWER_SECONDS):
        code = await answer.wait()
    if code == _CANCELLED:
        raise CommandError("the user did not want it opened")
    if code not in (None, _OPENED):
        raise CommandError("the desktop's portal could not open it")
    return code is not None


def _give_up(bus: Bus, request: str) -> None:
    """Nobody waits for it: the portal need not ask the user any more."""
    with suppress(BusError):
        bus.tell(NAME, request, REQUEST_INTERFACE, "Close")
