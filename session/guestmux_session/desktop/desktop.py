"""The desktop's providers, put together for the stock agent."""

from __future__ import annotations

from typing import Protocol

import anyio

from guestmux_session.desktop.app_sources import AppSources
from guestmux_session.desktop.app_watch import AppWatch
from guestmux_session.desktop.apps import Apps
from guestmux_session.desktop.clipboard import Clipboard
from guestmux_session.desktop.clipboard_guard import ClipboardGuard
from guestmux_session.desktop.clipboard_sizes import ClipboardSizes
from guestmux_session.desktop.clipboard_sources import ClipboardSources
from guestmux_session.desktop.clipboard_watch import ClipboardWatch
from guestmux_session.desktop.desktop_entries import DesktopEntries
from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.held_contents import HeldContents
from guestmux_session.desktop.inhibit import Inhibit
from guestmux_session.desktop.inhibit_desktop import DesktopMeans
from guestmux_session.desktop.inhibit_logind import LogindMeans
from guestmux_session.desktop.inhibit_means import Means
from guestmux_session.desktop.inhibit_x11 import X11Means
from guestmux_session.desktop.inhibitors import Inhibitors
from guestmux_session.desktop.installed import Installed
from guestmux_session.desktop.launcher import Launcher
from guestmux_session.desktop.open_uri import OpenUri
from guestmux_session.desktop.output_sources import OutputSources
from guestmux_session.desktop.output_watch import OutputWatch
from guestmux_session.desktop.outputs import Outputs
from guestmux_session.desktop.presence import Presence, PresenceHost
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.info_environment import from_logind
from guestmux_session.session_config import SessionConfig
from guestmux_session.telling import EventHost
from guestmux_session.verbs.surroundings_session import SessionSurroundings


class DesktopHost(PresenceHost, EventHost, Protocol):
    """What the desktop needs of its agent."""


class DesktopProviders:
    """All of them, and what they share. Nothing is connected to before somebody wants something of it.

    Args:
        host: the agent.
        surroundings: has the session's variables.
        config: what the guest's administrator allows.

    Attributes:
        manager: is to be told of the session bus.
        presence: locks and idleness.
        apps: the commands about applications.
        clipboard: the commands about the clipboards.
        outputs: the commands about displays.
        installed: the commands about installed applications.
        uris: the command that opens URIs.
    """

    def __init__(self, host: DesktopHost, surroundings: SessionSurroundings, config: SessionConfig) -> None:
        async def session_type() -> str:
            return (await from_logind(host))[0]

        self.manager = UserManager()
        self.displays = Displays(lambda: surroundings.environment(None), session_type)
        entries = DesktopEntries()
        sources = AppSources(self.displays, self.manager, entries)
        self._app_watch = AppWatch(host, sources)
        launcher = Launcher(surroundings, self.manager, entries)
        self.apps = Apps(self._app_watch, launcher)
        self.uris = OpenUri(launcher, self.manager, config.uri_schemes)
        ways: list[Means] = [DesktopMeans(self.manager), LogindMeans(host), X11Means(self.displays)]
        self._inhibitors = Inhibitors(ways)
        self._inhibit = Inhibit(self._inhibitors)
        self.presence = Presence(host, self.displays, self.manager, config.idle_seconds)
        clipboards = ClipboardSources(self.displays)
        self._contents = HeldContents(clipboards)
        guard = ClipboardGuard(host, self.presence.savers, config.clipboard)
        self.clipboard = Clipboard(clipboards, self._contents, guard)
        sizes = ClipboardSizes(guard, wanted=config.clipboard_sizes)
        self._clipboard_watch = ClipboardWatch(host, clipboards, self._contents, guard, sizes)
        outputs = OutputSources(self.displays, self.manager)
        self.outputs = Outputs(outputs)
        self._output_watch = OutputWatch(host, outputs)
        self.installed = Installed(host, lambda: surroundings.environment(None))

    @property
    def parts(self) -> tuple[object, ...]:
        """Whose commands are served, whatever the desktop is."""
        return (
            self.apps,
            self.clipboard,
            self.outputs,
            self.installed,
            self.presence.idle,
            self.uris,
            self._inhibit,
        )

    async def run(self) -> None:
        """Watch what hosts want to know of, for as long as the agent is registered."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._app_watch.run)
            group.start_soon(self._clipboard_watch.run)
            group.start_soon(self.presence.run)
            group.start_soon(self._output_watch.run)
            group.start_soon(self.installed.run)

    async def keep(self) -> None:
        """Keep what hosts have put into the clipboards, and the session awake, for as long as the agent runs."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._contents.run)
            group.start_soon(self._inhibitors.run)

    async def states(self) -> dict[str, str]:
        """Which source each provider has chosen, or why it has none."""
        return {
            self.apps.name: await self.apps.state(),
            self.clipboard.name: await self.clipboard.state(),
            **await self.presence.states(),
            self.outputs.name: await self.outputs.state(),
        }
