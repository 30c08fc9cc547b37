"""Applications by wlr-foreign-toplevel-management: sway, labwc, wayfire, river, Hyprland, KDE's older relatives."""

from __future__ import annotations

import struct
from collections.abc import Hashable

from guestmux_session.desktop.wayland_connection import Proxy
from guestmux_session.desktop.wayland_protocols import SEAT, WLR_TOPLEVELS
from guestmux_session.desktop.wayland_toplevels import Toplevel, WaylandToplevels
from guestmux_session.errors import CommandError

_ACTIVATED = 2
"""In the array of a window's states."""


class WlrApps(WaylandToplevels):
    """With focus, and requests to windows."""

    name = "wayland-wlr"
    interface = WLR_TOPLEVELS
    version = 3

    _seat: Proxy | None = None

    def listen(self, window: Toplevel) -> None:
        """Hear of its states, too."""
        super().listen(window)

        def set_state(untrusted_states: bytes) -> None:
            count = len(untrusted_states) // 4
            window.active = _ACTIVATED in struct.unpack_from(f"={count}I", untrusted_states)

        window.proxy.on(state=set_state)

    async def focus(self, window: Hashable) -> None:
        """Activate it on the seat."""
        self._seat = self._seat or self._connection.bind(SEAT, 1)
        if self._seat is None:
            raise CommandError("the session has no seat, so that nothing can have the keyboard")
        if self.has(window):
            window.proxy.ask("activate", self._seat)
        await self._connection.sync()

    async def close(self, window: Hashable) -> None:
        """Ask it to."""
        if self.has(window):
            window.proxy.ask("close")
        await self._connection.sync()
