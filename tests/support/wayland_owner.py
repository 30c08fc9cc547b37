"""An owner of a clipboard on a real Wayland compositor that does as it is told, and not as it should."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from guestmux_session.desktop.clipboard_wayland_wlr import WlrClipboard
from guestmux_session.desktop.errors import DisplayLost
from guestmux_session.desktop.wayland_connection import WaylandConnection, connect_wayland
from guestmux_session.desktop.wayland_device import WaylandDevice
from tests.support.sway import Sway

AT_A_TIME = 50
"""Requests that the compositor is given before it is waited for; it ends the connection of who sends too much."""


@asynccontextmanager
async def owner(
    compositor: Sway, names: Iterable[str], give: Callable[[int], None] = os.close
) -> AsyncIterator[WaylandConnection]:
    """Have a client own the clipboard for as long as the block lasts, unless the compositor ends it for that.

    Args:
        compositor: whose.
        names: the formats that it offers.
        give: is given each pipe that the content is to be written into; it is the function's to close.
    """
    environment = compositor.environment
    connection = await connect_wayland(Path(environment["XDG_RUNTIME_DIR"], environment["WAYLAND_DISPLAY"]))
    try:
        # It hears of its own formats, too.
        with suppress(DisplayLost):
            await _own(connection, names, give)
        yield connection
    finally:
        connection.close()


async def _own(connection: WaylandConnection, names: Iterable[str], give: Callable[[int], None]) -> None:
    device = WaylandDevice(connection, WlrClipboard.manager)
    await device.open()
    source = device.source()
    source.on(send=lambda _name, fd: give(fd))
    for number, name in enumerate(names):
        source.ask("offer", name)
        if number % AT_A_TIME == 0:
            await connection.sync()
    device.put("clipboard", source)
    await connection.sync()
