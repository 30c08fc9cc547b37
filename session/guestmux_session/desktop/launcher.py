"""Starts applications as the desktop would: by the session bus, or by GLib's launchers, in a scope of their own."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Literal, Protocol

import anyio

from guestmux_protocol.session_commands import Launched
from guestmux_session.desktop.app_units import scope_for
from guestmux_session.desktop.desktop_entries import DesktopEntries, DesktopEntry, kinds_of
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.errors import CommandError
from guestmux_session.explained import explained
from guestmux_session.verbs.child import Child
from guestmux_session.verbs.spawn import Program, Streams, spawn

LAUNCH_TIMEOUT = 20.0
"""Seconds for a launcher to do its work, or for the bus to start an application; a cold disk takes some."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.*", re.DOTALL)
_APPLICATION = "org.freedesktop.Application"
_NOWHERE = Streams(subprocess.DEVNULL, subprocess.DEVNULL, subprocess.DEVNULL)
"""What a launcher writes, the application would write to as well, for as long as it lives."""

_HANDLER = "uri-handler"
"""Stands in a scope's name for an application that nobody knows before it runs."""

logger = logging.getLogger(__name__)


class LaunchSurroundings(Protocol):
    """Where started processes live."""

    @property
    def directory(self) -> str | None:
        """Where they start."""

    @property
    def adopts(self) -> bool:
        """Whether they get a scope of their own."""

    async def environment(self, given: Mapping[str, str] | None) -> dict[str, str]:
        """Their variables."""

    async def adopt(self, pid: int, unit: str = "") -> None:
        """Put a process into a scope."""


class Launcher:
    """Starts what is installed.

    Args:
        surroundings: where it is to live.
        manager: has the session bus.
        entries: what is installed.
    """

    def __init__(
        self, surroundings: LaunchSurroundings, manager: UserManager, entries: DesktopEntries
    ) -> None:
        self._surroundings = surroundings
        self._manager = manager
        self._entries = entries

    async def launch(self, app_id: str, uris: list[str]) -> Launched:
        """Start an application; where none is named, the one that the user chose for the URI.

        Raises:
            CommandError: it cannot be started.
        """
        for uri in uris:
            if not _URI.fullmatch(uri):
                raise CommandError(f"'{uri[:100]}' is no URI; a file's is file:///path")
        if not app_id:
            return await self._open(uris)
        environment = await self._surroundings.environment(None)
        return await self._launched(await self._found(app_id, environment), uris, environment)

    async def open_uri(self, uri: str) -> Literal["gio", "xdg-open"]:
        """Open a URI with the application that the user has chosen for it; gives what found that.

        Raises:
            CommandError: it cannot be opened.
        """
        environment = await self._surroundings.environment(None)
        if _tool("gio", environment):
            await self._run(["gio", "open", uri], _HANDLER, environment)
            return "gio"
        if _tool("xdg-open", environment):
            await self._run(["xdg-open", uri], _HANDLER, environment)
            return "xdg-open"
        raise CommandError("neither gio (GLib's tools) nor xdg-open is installed in the guest")

    async def open_with(
        self, app_id: str, uri: str, scheme: str
    ) -> Literal["dbus", "gio", "gtk-launch", "xdg-open"]:
        """Open a URI with an application that says it is for such URIs; gives who started it.

        Raises:
            CommandError: it cannot be opened, or is no such application.
        """
        environment = await self._surroundings.environment(None)
        entry = await self._found(app_id, environment)
        kinds = await anyio.to_thread.run_sync(kinds_of, entry)
        # Of files it tells by their contents' types, which nobody looks at here.
        if not (kinds if scheme == "file" else f"x-scheme-handler/{scheme}" in kinds):
            raise CommandError(f"'{entry.app_id}' does not say that it opens '{scheme[:100]}'")
        return (await self._launched(entry, [uri], environment)).by

    async def _found(self, app_id: str, environment: Mapping[str, str]) -> DesktopEntry:
        await self._entries.refresh(environment)
        entry = self._entries.get(app_id)
        if entry is None:
            raise CommandError(f"no application '{app_id[:100]}' is installed")
        return entry

    async def _launched(self, entry: DesktopEntry, uris: list[str], environment: dict[str, str]) -> Launched:
        if entry.activatable and self._manager.bus is not None:
            return await self._activate(entry, uris)
        return await self._start(entry, uris, environment)

    async def _open(self, uris: list[str]) -> Launched:
        if len(uris) != 1:
            raise CommandError("name an application, or exactly one URI to open")
        return Launched(by=await self.open_uri(uris[0]))

    async def _activate(self, entry: DesktopEntry, uris: list[str]) -> Launched:
        """Desktop Entry Specification, "D-Bus Activation"."""
        assert self._manager.bus is not None
        path = "/" + entry.app_id.replace(".", "/").replace("-", "_")
        member, signature, body = ("Open", "asa{sv}", [uris, {}]) if uris else ("Activate", "a{sv}", [{}])
        with explained(f"'{entry.app_id}' could not be started"):
            await self._manager.bus.call(
                *(entry.app_id, path, _APPLICATION, member, signature, body), timeout=LAUNCH_TIMEOUT
            )
        return Launched(by="dbus")

    async def _start(self, entry: DesktopEntry, uris: list[str], environment: dict[str, str]) -> Launched:
        if _tool("gio", environment):
            await self._run(["gio", "launch", str(entry.path), *uris], entry.app_id, environment)
            return Launched(by="gio")
        if _tool("gtk-launch", environment):
            await self._run(["gtk-launch", entry.app_id, *uris], entry.app_id, environment)
            return Launched(by="gtk-launch")
        raise CommandError("neither gio nor gtk-launch is installed in the guest")

    async def _run(self, command: list[str], app_id: str, environment: dict[str, str]) -> None:
        """Run a launcher, and with it what it starts, in a scope of the application's own."""
        surroundings = self._surroundings
        name, *arguments = command
        program = Program(name, arguments, environment, surroundings.directory, held=surroundings.adopts)
        started = await anyio.to_thread.run_sync(spawn, program, _NOWHERE)
        ended = anyio.Event()
        child = Child(started, ended.set)
        try:
            if program.held:
                await surroundings.adopt(child.pid, scope_for(app_id, os.urandom(8).hex()))
                child.go_on()
            with anyio.move_on_after(LAUNCH_TIMEOUT):
                await ended.wait()
        finally:
            child.let_go()
        if not ended.is_set():
            logger.info("%s has not ended after %.0f s", name, LAUNCH_TIMEOUT)
        elif child.exitcode != 0:
            raise CommandError(f"{_undone(name, app_id, arguments)}: exit status {child.exitcode}")


def _undone(name: str, app_id: str, arguments: list[str]) -> str:
    if app_id == _HANDLER:
        uri = arguments[-1][:100]
        return f"{name} could not open '{uri}'; the session may have no application for it"
    return f"{name} could not start '{app_id[:100]}'"


def _tool(name: str, environment: Mapping[str, str]) -> str | None:
    return shutil.which(name, path=environment.get("PATH"))
