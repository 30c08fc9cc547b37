"""Keeps an X server from blanking the screen (MIT-SCREEN-SAVER, XScreenSaverSuspend; X.Org, version 1.1)."""

from __future__ import annotations

import struct

import anyio

from guestmux_session.backoff import Backoff
from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.errors import DisplayError, DisplayLost, DisplayUnavailable
from guestmux_session.desktop.inhibit_means import Tell
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_wire import extension_of, get_input_focus, query_extension, request

EXTENSION = "MIT-SCREEN-SAVER"

_SUSPEND = 5


class X11Means:
    """The server's own screen saver and DPMS, which lockers like xss-lock go by.

    Args:
        displays: have the X server.
    """

    name = "x11"

    def __init__(self, displays: Displays) -> None:
        self._displays = displays

    async def hold(self, reason: str, tell: Tell) -> None:
        """Suspend them; a server that crashed is waited for."""
        del reason
        if (await self._displays.find()).kind != "x11":
            tell("", "the session is not X11's")
            return
        backoff = Backoff()
        while True:
            backoff.attempt()
            try:
                async with self._displays.x11() as x11:
                    await self._suspend(x11, tell)
            except DisplayError as error:
                tell("", str(error))
            await anyio.sleep(backoff.next())

    async def _suspend(self, x11: X11Connection, tell: Tell) -> None:
        major = extension_of(await x11.ask(query_extension(EXTENSION)))
        if major is None:
            raise DisplayUnavailable(f"the X server has no {EXTENSION}")
        x11.tell(suspend(major, suspended=True))
        try:
            # The server has done it when it answers what came after.
            await x11.ask(get_input_focus())
            tell(self.name, "")
            await x11.wait_lost()
        finally:
            # The connection may live on for others; each suspension needs its end.
            if x11.lost_reason is None:
                x11.tell(suspend(major, suspended=False))
        raise DisplayLost(f"lost the X server: {x11.lost_reason}")


def suspend(major: int, *, suspended: bool) -> bytes:
    """XScreenSaverSuspend: they add up within a connection, and end with it."""
    return request(major, _SUSPEND, struct.pack("<I", suspended))
