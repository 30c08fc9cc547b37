"""The clipboards by wlr-data-control: sway, labwc, wayfire, river, Hyprland, and KDE before it had ext-data-control."""

from __future__ import annotations

from guestmux_session.desktop.clipboard_wayland import WaylandClipboard
from guestmux_session.desktop.wayland_protocols import WLR_DATA_CONTROL


class WlrClipboard(WaylandClipboard):
    """The second choice."""

    name = "wayland-wlr"
    manager = WLR_DATA_CONTROL[0]
