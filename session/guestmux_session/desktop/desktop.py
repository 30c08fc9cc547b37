"""The desktop's providers, put together for the stock agent."""

from __future__ import annotations

from typing import Protocol

from guestmux_session.desktop.app_sources import AppSources
from guestmux_session.desktop.app_watch import AppHost, AppWatch
from guestmux_session.desktop.apps import Apps
from guestmux_session.desktop.desktop_entries import DesktopEntries
from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.launcher import Launcher
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.info_environment import from_logind
from guestmux_session.provider import ProviderHost
from guestmux_session.verbs.surroundings_session import SessionSurroundings


class DesktopHost(ProviderHost, AppHost, Protocol):
    """What the desktop needs of its agent."""


class DesktopProviders:
    """All of them, and what they share. Nothing is connected to before somebody wants something of it.

    Args:
        host: the agent.
        surroundings: has the session's variables.
        titles: whether windows' titles may be told.

    Attributes:
        manager: is to be told of the session bus.
        apps: the commands about applications.
    """

    def __init__(self, host: DesktopHost, surroundings: SessionSurroundings, *, titles: bool) -> None:
        async def session_type() -> str:
            return (await from_logind(host))[0]

        self.manager = UserManager()
        self.displays = Displays(lambda: surroundings.environment(None), session_type)
        entries = DesktopEntries()
        sources = AppSources(self.displays, self.manager, entries)
        self._watch = AppWatch(host, sources, titles=titles)
        self.apps = Apps(self._watch, Launcher(surroundings, self.manager, entries), titles=titles)

    async def run(self) -> None:
        """Watch what hosts want to know of, for as long as the agent is registered."""
        await self._watch.run()

    async def states(self) -> dict[str, str]:
        """Which source each provider has chosen, or why it has none."""
        return {self.apps.name: await self.apps.state()}
