"""The installed applications' desktop files (Desktop Entry Specification 1.5, Desktop Menu Specification 1.1).

A window says what it calls itself; which application that is, and how people call it, stands here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from guestmux_session.desktop.texts import one_line

MAX_ENTRIES = 4096
"""Desktop files that are read: ten times a well-filled desktop's."""

MAX_FILE_BYTES = 256 * 1024
"""Bytes of one: those with all translations have some 50 KiB."""

MAX_TEXT = 256
"""Characters of an id or a name."""

FRESH_SECONDS = 10.0
"""Seconds within which the folders are not looked at again."""

_SUFFIX = ".desktop"
_GROUP = "[Desktop Entry]"
_USED = frozenset({"Name", "StartupWMClass", "DBusActivatable", "Type", "MimeType"})


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
        return self._by_id.get(app_id.removesuffix(_SUFFIX))

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
        found = {folder: folder.stat().st_mtime_ns for folder in folders if folder.is_dir()}
        if found == self._folders:
            return
        self._folders = found
        self._by_id = {}
        for entry in _entries(found):
            # The user's folder comes first, and hides what is installed for all under the same id.
            self._by_id.setdefault(entry.app_id, entry)
        self._by_class = {name: entry for entry in self._by_id.values() for name in _loose_names(entry)}
        self._by_class |= {entry.wm_class.lower(): entry for entry in self._by_id.values() if entry.wm_class}


def kinds_of(entry: DesktopEntry) -> frozenset[str]:
    """The MIME types that an application says it opens, by its file; `x-scheme-handler/…` are URIs' schemes."""
    text = _text(entry.path) or ""
    return frozenset(filter(None, _values(text).get("MimeType", "").split(";")))


def folders_of(environment: Mapping[str, str]) -> list[Path]:
    """Where desktop files are, the most important folder first (XDG Base Directory Specification)."""
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - not the agent's, the session's home
    own = environment.get("XDG_DATA_HOME") or f"{home}/.local/share"
    shared = environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [Path(folder, "applications") for folder in [own, *shared.split(":")] if folder.startswith("/")]


def _entries(folders: Mapping[Path, int]) -> Iterator[DesktopEntry]:
    count = 0
    for folder in folders:
        for path in sorted(folder.rglob(f"*{_SUFFIX}")):
            count += 1
            if count > MAX_ENTRIES:
                return
            entry = _read(folder, path)
            if entry is not None:
                yield entry


def _read(folder: Path, path: Path) -> DesktopEntry | None:
    text = _text(path)
    if text is None:
        return None
    values = _values(text)
    # In a folder below, the folder's name is part of the id.
    app_id = "-".join(path.relative_to(folder).parts).removesuffix(_SUFFIX)
    if values.get("Type") != "Application" or one_line(app_id, MAX_TEXT) != app_id:
        return None
    return DesktopEntry(
        app_id=app_id,
        path=path,
        name=one_line(values.get("Name") or app_id, MAX_TEXT),
        wm_class=values.get("StartupWMClass", "")[:MAX_TEXT],
        activatable=values.get("DBusActivatable") == "true",
    )


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return None


def _values(text: str) -> dict[str, str]:
    """Of the main group those that are used here."""
    _, _, rest = f"\n{text}".partition(f"\n{_GROUP}\n")
    values: dict[str, str] = {}
    for line in rest.split("\n"):
        if line.startswith("["):
            break
        name, equals, value = line.partition("=")
        if equals and name.strip() in _USED:
            values.setdefault(name.strip(), value.strip())
    return values


def _loose_names(entry: DesktopEntry) -> set[str]:
    return {entry.app_id.lower(), entry.app_id.rpartition(".")[2].lower()}
