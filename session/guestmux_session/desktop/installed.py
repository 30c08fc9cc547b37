"""session-list-installed: the applications that the session's user could start; and their events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import anyio

from guestmux_protocol.installed_commands import (
    INSTALLED,
    MAX_INSTALLED,
    InstalledApp,
    InstalledApps,
    SessionListInstalled,
)
from guestmux_session.declarations import command_of
from guestmux_session.telling import EventHost

EVENT = "PACKAGES_CHANGED"


class Installed:
    """Serves what is about installed applications.

    Args:
        host: whom events go to.
        environment: gives the session's variables.
    """

    def __init__(self, host: EventHost, environment: Callable[[], Awaitable[Mapping[str, str]]]) -> None:
        self._host = host
        self._environment = environment

    async def run(self) -> None:
        """Watch while somebody wants to know; for as long as the agent is registered."""
        while True:
            await self._host.until_wanted(EVENT)
            # Loaded when somebody asks: few do.
            from guestmux_session.desktop.installed_watch import InstalledWatch

            watch = InstalledWatch(self._host, self._environment)
            async with anyio.create_task_group() as group:
                group.start_soon(watch.run)
                await self._host.until_unwanted(EVENT)
                group.cancel_scope.cancel()

    @command_of(INSTALLED["session-list-installed"])
    async def list_installed(self, asked: SessionListInstalled) -> InstalledApps:
        """Tell them."""
        found = await asyncio.to_thread(_read, await self._environment(), asked)
        return InstalledApps(apps=found[:MAX_INSTALLED], truncated=len(found) > MAX_INSTALLED)


def _read(environment: Mapping[str, str], asked: SessionListInstalled) -> list[InstalledApp]:
    from guestmux_session.desktop.app_places import places_of
    from guestmux_session.desktop.installed_apps import installed_apps, without_mime_types

    apps = [
        app for app in installed_apps(places_of(environment), environment) if asked.hidden or not app.hidden
    ]
    if not asked.mime_types:
        apps = [without_mime_types(app) for app in apps]
    return sorted(apps, key=lambda app: (app.name.casefold(), app.app_id))
