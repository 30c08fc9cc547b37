"""Applications by ext-foreign-toplevel-list: which windows there are, and nothing that could be done with them."""

from __future__ import annotations

from collections.abc import Hashable

from guestmux_session.desktop.wayland_protocols import EXT_TOPLEVELS
from guestmux_session.desktop.wayland_toplevels import WaylandToplevels
from guestmux_session.errors import CommandError


class ExtApps(WaylandToplevels):
    """Without focus."""

    name = "wayland-ext"
    interface = EXT_TOPLEVELS
    version = 1

    async def focus(self, window: Hashable) -> None:
        """It cannot be done."""
        del window
        raise CommandError("this session's compositor lets nobody focus a window")

    async def close(self, window: Hashable) -> None:
        """It cannot be done."""
        del window
        raise CommandError("this session's compositor lets nobody close a window")
