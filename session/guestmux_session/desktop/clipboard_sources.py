"""Chooses the source of clipboards that the session offers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from guestmux_session.desktop.clipboard_source import SELECTIONS, ClipboardSource
from guestmux_session.desktop.clipboard_wayland_ext import ExtClipboard
from guestmux_session.desktop.clipboard_wayland_wlr import WlrClipboard
from guestmux_session.desktop.clipboard_x11 import X11Clipboard
from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.wayland_connection import WaylandConnection


class ClipboardSources:
    """All of them.

    Args:
        displays: the display servers.
    """

    def __init__(self, displays: Displays) -> None:
        self._displays = displays
        self._turns = {selection: anyio.Semaphore(1) for selection in SELECTIONS}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ClipboardSource]:
        """The one there is, for as long as a block lasts.

        Raises:
            DisplayUnavailable: there is none at the moment.
        """
        kind = (await self._displays.find()).kind
        if kind == "x11":
            async with self._displays.x11() as x11:
                yield X11Clipboard(x11, self._turns)
        elif kind == "wayland":
            async with self._displays.wayland_data() as wayland:
                yield _on_wayland(wayland)
        else:
            raise DisplayUnavailable("the session has no display server")


def _on_wayland(wayland: WaylandConnection) -> ClipboardSource:
    for kind in (ExtClipboard, WlrClipboard):
        if kind.is_offered(wayland):
            return kind(wayland)
    # GNOME, for one. By way of Xwayland one would get what X programs have put there, and that only now and then.
    raise DisplayUnavailable(
        "the compositor lets nobody but its windows have the clipboard: it has no data control"
    )
