"""session-list-apps, session-focus-app, session-close-app, session-launch: the session's applications."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from msgspec import UNSET, UnsetType

from guestmux_protocol.session_commands import (
    SESSION,
    AskedToClose,
    Launched,
    RunningApp,
    RunningApps,
    SessionCloseApp,
    SessionFocusApp,
    SessionLaunch,
    SessionListApps,
)
from guestmux_session.declarations import command_of
from guestmux_session.desktop.app_source import AppSource
from guestmux_session.desktop.app_table import AppTable, Running
from guestmux_session.desktop.app_watch import AppWatch
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.launcher import Launcher
from guestmux_session.errors import CommandError

MAX_LISTED = 512
"""Applications of one answer, some 200 bytes each; more run in no session that a person uses."""


class Apps:
    """Serves what is about applications.

    Args:
        watch: knows them.
        launcher: starts them.

    Attributes:
        name: as session-get-info shows it.
    """

    name = "apps"

    def __init__(self, watch: AppWatch, launcher: Launcher) -> None:
        self._watch = watch
        self._launcher = launcher

    async def state(self) -> str:
        """Where applications are known from, or why from nowhere."""
        try:
            async with self._watch.now() as (source, _table):
                return source.name
        except DisplayError as error:
            return str(error)

    @command_of(SESSION["session-list-apps"])
    async def list_apps(self, _arguments: SessionListApps) -> RunningApps:
        """Tell them."""
        async with self._known() as (source, table):
            running = [*table]
            apps = [await self._described(one, source, table) for one in running[:MAX_LISTED]]
            return RunningApps(apps=apps, truncated=table.truncated or len(running) > MAX_LISTED)

    @command_of(SESSION["session-focus-app"])
    async def focus_app(self, asked: SessionFocusApp) -> None:
        """Bring its last window to the front."""
        async with self._known() as (source, table):
            running = _found(table, asked.app_id, asked.pid)
            await source.focus(_last(running))

    @command_of(SESSION["session-close-app"])
    async def close_app(self, asked: SessionCloseApp) -> AskedToClose:
        """Ask all of its windows to close."""
        async with self._known() as (source, table):
            windows = [*_found(table, asked.app_id, asked.pid).windows]
            for window in windows:
                await source.close(window)
            return AskedToClose(windows=len(windows) if source.has_windows else 0)

    @command_of(SESSION["session-launch"])
    async def launch(self, asked: SessionLaunch) -> Launched:
        """Start one."""
        return await self._launcher.launch("" if asked.app_id is UNSET else asked.app_id, asked.uris)

    @asynccontextmanager
    async def _known(self) -> AsyncIterator[tuple[AppSource, AppTable]]:
        try:
            async with self._watch.now() as known:
                yield known
        except DisplayError as error:
            raise CommandError(f"the session's applications are not known: {error}") from error

    async def _described(self, running: Running, source: AppSource, table: AppTable) -> RunningApp:
        app = running.app
        return RunningApp(
            app_id=app.app_id,
            name=app.name,
            pid=app.pid or UNSET,
            windows=len(running.windows) if source.has_windows else 0,
            focused=app == table.focused,
            title=(await source.title(_last(running)) or UNSET) if self._watch.may_tell_titles() else UNSET,
        )


def _found(table: AppTable, app_id: str, pid: int | UnsetType) -> Running:
    running = table.find(app_id.removesuffix(".desktop"), 0 if pid is UNSET else pid)
    if running is None:
        raise CommandError(f"no application '{app_id[:100]}' is running; session-list-apps tells which are")
    return running


def _last(running: Running) -> Hashable:
    return next(reversed(running.windows))
