"""Chooses the source of displays that the session offers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.output_source import OutputSource
from guestmux_session.desktop.shared import Shared
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.desktop.wayland_connection import connect_wayland
from guestmux_session.desktop.wayland_heads import WaylandHeads


class OutputSources:
    """All of them. What is rarely needed is loaded when somebody needs it.

    Args:
        displays: the display servers.
        manager: has the session bus.
    """

    def __init__(self, displays: Displays, manager: UserManager) -> None:
        self._displays = displays
        self._manager = manager
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
            async with self._on_wayland() as source:
                yield source
        else:
            raise DisplayUnavailable("the session has no display server")

    @asynccontextmanager
    async def _on_wayland(self) -> AsyncIterator[OutputSource]:
        from guestmux_session.desktop.outputs_mutter import MutterOutputs
        from guestmux_session.desktop.outputs_wayland import WlrOutputs

        mutter = MutterOutputs(self._manager)
        if await mutter.is_offered():
            yield mutter
            return
        async with self._heads.use() as heads:
            yield WlrOutputs(heads)

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
