"""Applications by the units that desktops start them in: on every desktop with systemd, without windows or focus."""

from __future__ import annotations

import signal
from collections.abc import Hashable, Mapping
from typing import Any

from guestmux_session.desktop.app_source import refresh_on_change
from guestmux_session.desktop.app_table import MAX_WINDOWS, AppRef, AppTable
from guestmux_session.desktop.app_units import app_of_unit
from guestmux_session.desktop.desktop_entries import MAX_TEXT, DesktopEntries
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.texts import one_line
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.errors import CommandError
from guestmux_session.pulse import Pulse
from guestmux_transport.bus_signals import Signal

_STATES = ("active", "activating", "reloading")
_PATTERNS = ("app-*.scope", "app-*.service")
_UNIT_PATH = "/org/freedesktop/systemd1/unit/app_2d"
"""What the objects of units whose name begins with `app-` begin with."""


class SystemdApps:
    """The applications' units of the user's systemd. A unit is what a window is elsewhere.

    Args:
        manager: the user's systemd.
        entries: what is installed.
        environment: the session's variables.
    """

    name = "systemd"
    has_windows = False

    def __init__(self, manager: UserManager, entries: DesktopEntries, environment: Mapping[str, str]) -> None:
        self._manager = manager
        self._entries = entries
        self._environment = environment
        self._changed = Pulse()
        self._left_out: set[Hashable] = set()

    async def load(self, table: AppTable) -> None:
        """Enter the units that run."""
        await self._refresh(table)

    async def follow(self, table: AppTable) -> None:
        """Enter what changes."""
        handles = await self._manager.watch(self._on_signal)
        try:
            await refresh_on_change(self._changed, lambda: self._refresh(table), self._manager)
        finally:
            self._manager.unwatch(handles)

    async def title(self, window: Hashable) -> str:
        """Nobody knows it."""
        del window
        return ""

    async def focus(self, window: Hashable) -> None:
        """It cannot be done."""
        del window
        raise CommandError("this session shows its windows to nobody, so that none can be focused")

    async def close(self, window: Hashable) -> None:
        """Ask its processes to end."""
        await self._manager.ask("KillUnit", "ssi", [window, "all", signal.SIGTERM])

    def _on_signal(self, untrusted_signal: Signal) -> None:
        body = untrusted_signal.body
        about = (
            body[2] if untrusted_signal.member == "JobRemoved" and len(body) > 2 else body[0] if body else ""
        )
        if untrusted_signal.path.startswith(_UNIT_PATH) or str(about).startswith("app-"):
            self._changed.beat()

    async def _refresh(self, table: AppTable) -> None:
        (listed,) = await self._manager.ask("ListUnitsByPatterns", "asas", [_STATES, _PATTERNS])
        units = {str(unit[0]): unit for unit in listed[:MAX_WINDOWS]}
        for gone in table.windows - units.keys():
            table.closed(gone)
        self._left_out &= units.keys()
        new = [name for name in units if name not in table and name not in self._left_out]
        if new:
            await self._entries.refresh(self._environment)
        for name in new:
            await self._enter(table, name)
        table.truncated = len(listed) > MAX_WINDOWS

    async def _enter(self, table: AppTable, unit: str) -> None:
        app_id = app_of_unit(unit)
        if not app_id:
            self._left_out.add(unit)
            return
        try:
            (processes,) = await self._manager.ask("GetUnitProcesses", "s", [unit])
        except DisplayUnavailable:
            # It ended meanwhile.
            return
        entry = self._entries.of_window(app_id)
        pid, name = _first_pid(processes), one_line(app_id, MAX_TEXT)
        table.opened(unit, AppRef(entry.app_id, entry.name, pid) if entry else AppRef(name, name, pid))


def _first_pid(processes: list[Any]) -> int:
    """The oldest process's number, as far as numbers tell; 0: there is none."""
    return min((int(process[1]) for process in processes), default=0)
