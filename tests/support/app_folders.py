"""The folders that applications are installed in, and a host that wants to know what comes and goes there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec

from guestmux_protocol.events import PackagesChanged
from guestmux_protocol.installed_commands import InstalledApp, SessionListInstalled
from guestmux_protocol.registry import Data
from guestmux_session.desktop.installed import Installed

METAINFO = """<?xml version="1.0"?>
<component><id>org.example.Draw</id><releases>
<release date="2026-01-02" version="{version}" type="stable"/><release version="0.9"/>
</releases></component>
"""


class AppFolders:
    """The folders of a guest, and a host that wants to know.

    Attributes:
        environment: the session's variables.
    """

    def __init__(self, root: Path) -> None:
        self.home, self.usr = root / "home", root / "usr/share"
        self.flatpak, self.snapd, self.snaps = root / "flatpak", root / "snapd", root / "snap"
        self.environment = {"HOME": str(self.home), "XDG_DATA_DIRS": str(self.usr), "PATH": "/nosuch"}
        self.told: list[PackagesChanged] = []
        self._changed = anyio.Event()
        self.home.mkdir()

    def put(self, data: Path, name: str, *lines: str) -> Path:
        """A desktop file in a folder of data."""
        path = data / "applications" / f"{name}.desktop"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["[Desktop Entry]", "Type=Application", *lines, ""]))
        return path

    def put_flatpak(self, name: str, version: str, installation: Path | None = None) -> Path:
        """As flatpak lays it out."""
        root = installation or self.flatpak
        active = root / "app" / name / "current/active"
        exported = self.put(active / "export/share", name, f"Name={name}", f"X-Flatpak={name}")
        metainfo = active / f"files/share/metainfo/{name}.metainfo.xml"
        metainfo.parent.mkdir(parents=True, exist_ok=True)
        metainfo.write_text(METAINFO.format(version=version))
        link = root / "exports/share/applications" / exported.name
        link.parent.mkdir(parents=True, exist_ok=True)
        coming = link.with_suffix(".new")
        coming.symlink_to(exported)
        return coming.rename(link)

    @property
    def own(self) -> Path:
        return self.home / ".local/share"

    async def installed(self, **asked: bool) -> dict[str, InstalledApp]:
        async def environment() -> dict[str, str]:
            return self.environment

        told = await Installed(self, environment).list_installed(SessionListInstalled(**asked))
        return {app.app_id: app for app in told.apps}

    def wanted(self, event: str) -> bool:
        return event == "PACKAGES_CHANGED"

    def withheld(self, event: str) -> frozenset[str]:
        del event
        return frozenset()

    async def until_wanted(self, *events: str) -> None:
        assert events == ("PACKAGES_CHANGED",)

    async def until_unwanted(self, *events: str) -> None:
        await anyio.sleep_forever()

    async def emit(self, event: str, data: Data) -> int:
        assert (event, type(data)) == ("PACKAGES_CHANGED", PackagesChanged)
        assert isinstance(data, PackagesChanged)
        self.told.append(data)
        self._changed.set()
        return 1

    async def next(self) -> dict[str, Any]:
        """The next event that is told, without what is empty."""
        while not self.told:
            self._changed = anyio.Event()
            await self._changed.wait()
        return {name: value for name, value in msgspec.to_builtins(self.told.pop(0)).items() if value}

    async def _until_told(self) -> None:
        """What there was is known when something that comes then is told: `first`, which is there afterwards."""
        there = False
        while not there or not self.told:
            self.told.clear()
            first = self.put(self.own, "first", "Name=first")
            there = not there
            if not there:
                first.unlink()
            with anyio.move_on_after(1.0):
                self._changed = anyio.Event()
                await self._changed.wait()
        self.told.clear()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        async def environment() -> dict[str, str]:
            return self.environment

        async with anyio.create_task_group() as group:
            group.start_soon(Installed(self, environment).run)
            await self._until_told()
            yield
            group.cancel_scope.cancel()
