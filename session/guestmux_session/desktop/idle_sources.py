"""Chooses the best source of idleness that the session offers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.idle_mutter import MutterIdle
from guestmux_session.desktop.idle_source import IdleSource
from guestmux_session.desktop.idle_wayland import ExtIdle, KdeIdle
from guestmux_session.desktop.idle_x11 import X11Idle
from guestmux_session.desktop.idle_xss import XssIdle
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.desktop.wayland_connection import WaylandConnection


class IdleSources:
    """All of them.

    Args:
        displays: the display servers.
        manager: has the session bus.
    """

    def __init__(self, displays: Displays, manager: UserManager) -> None:
        self._displays = displays
        self._mutter = MutterIdle(manager)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[IdleSource]:
        """The best there is, for as long as a block lasts.

        Raises:
            DisplayUnavailable: there is none at the moment.
        """
        kind = (await self._displays.find()).kind
        if kind != "none" and await self._mutter.is_offered():
            # Xwayland's counter stands still while Wayland's windows are used.
            yield self._mutter
        elif kind == "x11":
            async with self._displays.x11() as x11:
                counter = X11Idle(x11)
                yield counter if await counter.is_offered() else XssIdle(x11)
        elif kind == "wayland":
            async with self._displays.wayland() as wayland:
                yield _on_wayland(wayland)
        else:
            raise DisplayUnavailable("the session has no display server")


def _on_wayland(wayland: WaylandConnection) -> IdleSource:
    for kind in (ExtIdle, KdeIdle):
        if kind.is_offered(wayland):
            return kind(wayland)
    raise DisplayUnavailable("the compositor tells nobody when it is idle")
