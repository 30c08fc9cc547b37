"""The clipboards by ext-data-control: what compositors agreed on; KDE, and sway, labwc and others from 2025 on."""

from __future__ import annotations

from guestmux_session.desktop.clipboard_wayland import WaylandClipboard
from guestmux_session.desktop.wayland_protocols import EXT_DATA_CONTROL


class ExtClipboard(WaylandClipboard):
    """The first choice."""

    name = "wayland-ext"
    manager = EXT_DATA_CONTROL[0]
