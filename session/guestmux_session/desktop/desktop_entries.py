"""The installed applications' desktop files (Desktop Entry Specification 1.5, Desktop Menu Specification 1.1).

A window says what it calls itself; which application that is, and how people call it, stands here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from guestmux_session.desktop.desktop_file import (
    MAX_TEXT,
    SUFFIX,
    DesktopFile,
    desktop_files,
    folders_of,
    read_text,
    values_of,
)
from guestmux_session.desktop.texts import one_line

__all__ = ["MAX_TEXT", "DesktopEntries", "DesktopEntry", "kinds_of"]

FRESH_SECONDS = 10.0
"""Seconds within which the folders are not looked at again."""

_USED = frozenset({"Name", "StartupWMClass", "DBusActivatable", "Type"})


@dataclass(frozen=True)
class DesktopEntry:
    """An installed application.

    Attributes:
        app_id: the file's id, without `.desktop`.
        path: the file.
        name: for people, in no language.
        wm_class: what its windows call themselves, where it says so.
        activatable: the session bus starts it.
    """

    app_id: str
    path: Path
    name: str
    wm_class: str
    activatable: bool


class DesktopEntries:
    """What is installed, read when somebody asks, in a thread, and again when a folder has changed."""

    def __init__(self) -> None:
        self._by_id: dict[str, DesktopEntry] = {}
        self._by_class: dict[str, DesktopEntry] = {}
        self._folders: dict[Path, int] = {}
        self._looked = float("-inf")

    def __repr__(self) -> str:
        return f"<DesktopEntries {len(self._by_id)}>"

    async def refresh(self, environment: Mapping[str, str]) -> None:
        """Read them, unless that was just done or nothing has changed."""
        if time.monotonic() - self._looked >= FRESH_SECONDS:
            await asyncio.to_thread(self._refresh, folders_of(environment))
            self._looked = time.monotonic()

    def get(self, app_id: str) -> DesktopEntry | None:
        """An application by its id, with `.desktop` or without."""
        return self._by_id.get(app_id.removesuffix(SUFFIX))

    def of_window(self, *names: str) -> DesktopEntry | None:
        """The application of a window that calls itself so, the best name first.

        StartupWMClass is what the files themselves say; without it the name is compared with the id, and with its
        last part, as desktops do.
        """
        for name in filter(None, names):
            entry = self.get(name) or self._by_class.get(name.lower())
            if entry is not None:
                return entry
        return None

    def _refresh(self, folders: list[Path]) -> None:
        found = {folder: changed for folder in folders if (changed := _changed(folder)) is not None}
        if found == self._folders:
            return
        self._folders = found
        self._by_id = {}
        for file in desktop_files(found, _USED):
            # The user's folder comes first, and hides what is installed for all under the same id.
            self._by_id.setdefault(file.app_id, _entry(file))
        self._by_class = {name: entry for entry in self._by_id.values() for name in _loose_names(entry)}
        self._by_class |= {entry.wm_class.lower(): entry for entry in self._by_id.values() if entry.wm_class}


def kinds_of(entry: DesktopEntry) -> frozenset[str]:
    """The MIME types that an application says it opens, by its file; `x-scheme-handler/…` are URIs' schemes."""
    told = values_of(read_text(entry.path), {"MimeType"})
    return frozenset(filter(None, told.get("MimeType", "").split(";")))


def _changed(folder: Path) -> int | None:
    """When it was; None where it is not there, or not for this user."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def _entry(file: DesktopFile) -> DesktopEntry:
    values = file.values
    return DesktopEntry(
        app_id=file.app_id,
        path=file.path,
        name=one_line(values.get("Name") or file.app_id, MAX_TEXT),
        wm_class=values.get("StartupWMClass", "")[:MAX_TEXT],
        activatable=values.get("DBusActivatable") == "true",
    )


def _loose_names(entry: DesktopEntry) -> set[str]:
    return {entry.app_id.lower(), entry.app_id.rpartition(".")[2].lower()}
