"""Chooses the source of displays that the session offers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.output_source import OutputSource
from guestmux_session.desktop.shared import Shared
from guestmux_session.desktop.wayland_connection import connect_wayland
from guestmux_session.desktop.wayland_heads import WaylandHeads


class OutputSources:
    """All of them. What is rarely needed is loaded when somebody needs it.

    Args:
        displays: the display servers.
    """

    def __init__(self, displays: Displays) -> None:
        self._displays = displays
        self._heads = Shared(self._connect_heads)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OutputSource]:
        """The one there is, for as long as a block lasts.

        Raises:
            DisplayUnavailable: there is none at the moment.
        """
        kind = (await self._displays.find()).kind
        if kind == "x11":
            from guestmux_session.desktop.outputs_x11 import X11Outputs

            async with self._displays.x11() as x11:
                yield X11Outputs(x11)
        elif kind == "wayland":
            from guestmux_session.desktop.outputs_wayland import WlrOutputs

            async with self._heads.use() as heads:
                yield WlrOutputs(heads)
        else:
            raise DisplayUnavailable("the session has no display server")

    async def _connect_heads(self) -> WaylandHeads:
        # A connection of its own: before version 3 the protocol has no way to end but that of the connection.
        connection = await connect_wayland((await self._displays.find()).wayland_socket)
        heads = WaylandHeads(connection)
        try:
            await heads.start()
        except BaseException:
            heads.close()
            raise
        return heads
