"""Chooses the best source of applications that the session offers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from guestmux_session.backoff import Backoff
from guestmux_session.desktop.app_source import AppSource
from guestmux_session.desktop.apps_systemd import SystemdApps
from guestmux_session.desktop.apps_wayland_ext import ExtApps
from guestmux_session.desktop.apps_wayland_wlr import WlrApps
from guestmux_session.desktop.apps_x11_ewmh import X11Apps
from guestmux_session.desktop.desktop_entries import DesktopEntries
from guestmux_session.desktop.displays import Desktop, Displays
from guestmux_session.desktop.errors import DisplayError, DisplayUnavailable
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.desktop.x11_window_list import WindowList

FIRST_LOOK = 1.0
"""Seconds after which a session without a display server is looked at again, while somebody wants its events: nothing
tells that its desktop has come, which does so within seconds of the login, or later. Each wait is twice the one before,
up to half a minute."""


class AppSources:
    """All of them.

    Args:
        displays: the display servers.
        manager: the user's systemd.
        entries: what is installed.
    """

    def __init__(self, displays: Displays, manager: UserManager, entries: DesktopEntries) -> None:
        self._displays = displays
        self._manager = manager
        self._entries = entries

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AppSource]:
        """The best there is, for as long as a block lasts.

        A display server that does not answer is waited for and not replaced: who went over to another source would
        see all applications end and others start.

        Raises:
            DisplayUnavailable: there is none at the moment.
        """
        desktop = await self._displays.find()
        if desktop.kind == "x11":
            async with self._displays.x11() as x11:
                if self._manager.lost_reason is None and not await WindowList(x11).is_there():
                    yield self._of_systemd(desktop)
                else:
                    yield X11Apps(x11, self._entries, desktop.environment)
        elif desktop.kind == "wayland":
            async with self._on_wayland(desktop) as source:
                yield source
        else:
            yield self._of_systemd(desktop)

    async def until_another(self, source: AppSource) -> None:
        """Wait until there may be a better one: a display server has come to a session that had none, or a window
        manager to an X server.
        """
        kind = (await self._displays.find()).kind
        if source.has_windows or (kind == "wayland" and not await self._tells_windows()):
            await anyio.sleep_forever()
        if kind == "x11":
            # Where that is lost, what there is has to be found out anew as well.
            with suppress(DisplayError):
                async with self._displays.x11() as x11:
                    await WindowList(x11).wait()
            return
        waits = Backoff(FIRST_LOOK)
        while (await self._displays.find()).kind == "none":  # noqa: ASYNC110 - nothing tells of it
            await anyio.sleep(waits.next())

    async def _tells_windows(self) -> bool:
        """Whether the compositor does, or may: it cannot be asked now."""
        try:
            async with self._displays.wayland() as wayland:
                return any(kind.offered(wayland) for kind in (WlrApps, ExtApps))
        except DisplayError:
            return True

    @asynccontextmanager
    async def _on_wayland(self, desktop: Desktop) -> AsyncIterator[AppSource]:
        async with self._displays.wayland() as wayland:
            for kind in (WlrApps, ExtApps):
                if not kind.offered(wayland):
                    continue
                source = kind(wayland, self._entries, desktop.environment)
                try:
                    yield source
                finally:
                    source.stop()
                return
        # GNOME and others tell nobody of their windows.
        yield self._of_systemd(desktop)

    def _of_systemd(self, desktop: Desktop) -> SystemdApps:
        if self._manager.lost_reason is not None:
            raise DisplayUnavailable(f"no display server to ask, and {self._manager.lost_reason}")
        return SystemdApps(self._manager, self._entries, desktop.environment)
