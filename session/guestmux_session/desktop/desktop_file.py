"""Desktop files: where they are, and what stands in them (Desktop Entry Specification 1.5)."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from guestmux_session.desktop.texts import one_line

SUFFIX = ".desktop"

MAX_FILES = 4096
"""Files that are read: ten times a well-filled desktop's."""

MAX_DEPTH = 8
"""Folders one below the other: menus have two or three."""

MAX_ENTRIES = 65_536
"""Entries of a folder, and of those below it, that are looked at: the largest of distributions have some thousands."""

MAX_FILE_BYTES = 256 * 1024
"""Bytes of one: those with all translations have some 50 KiB."""

MAX_BYTES = 64 << 20
"""Bytes of all of them together."""

MAX_TEXT = 256
"""Characters of an id or a name."""

_GROUP = "[Desktop Entry]"


@dataclass(frozen=True)
class DesktopFile:
    """One that is about an application.

    Attributes:
        app_id: its id, without `.desktop`.
        path: where it is.
        folder: the folder of applications that it is in.
        values: of its main group those that were asked for, untranslated and unchecked.
    """

    app_id: str
    path: Path
    folder: Path
    values: Mapping[str, str]


def folders_of(environment: Mapping[str, str]) -> list[Path]:
    """Where desktop files are, the most important folder first (XDG Base Directory Specification)."""
    shared = environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    folders = [own_data(environment), *map(Path, filter(None, shared.split(":")))]
    return [folder / "applications" for folder in folders if folder.is_absolute()]


def own_data(environment: Mapping[str, str]) -> Path:
    """Where the session's user has data."""
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - not the agent's, the session's home
    return Path(environment.get("XDG_DATA_HOME") or f"{home}/.local/share")


def desktop_files(folders: Iterable[Path], wanted: Collection[str]) -> Iterator[DesktopFile]:
    """Read them; in a thread.

    Args:
        folders: where they are.
        wanted: the keys whose values are needed; `Type` is among them.
    """
    files, room = MAX_FILES, MAX_BYTES
    for folder in folders:
        for path in sorted(islice(_paths(folder), files)):
            files -= 1
            text = read_text(path)
            room -= len(text)
            if room < 0:
                return
            values = values_of(text, wanted)
            # In a folder below, the folder's name is part of the id.
            app_id = "-".join(path.relative_to(folder).parts).removesuffix(SUFFIX)
            if values.get("Type") == "Application" and one_line(app_id, MAX_TEXT) == app_id:
                yield DesktopFile(app_id, path, folder, values)


def _paths(folder: Path) -> Iterator[Path]:
    """The files that are called so. Of a folder that cannot be read, or has gone meanwhile, there are none."""
    left, room = [(str(folder), 0)], MAX_ENTRIES
    while left:
        there, depth = left.pop()
        # One by one: a list of what is in a folder is as long as its user likes.
        for entry in _entries(there):
            room -= 1
            if room < 0:
                return
            if _is_folder(entry):
                if depth < MAX_DEPTH and not entry.is_symlink():
                    left.append((entry.path, depth + 1))
            elif entry.name.endswith(SUFFIX):
                yield Path(entry.path)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def read_text(path: Path, limit: int = MAX_FILE_BYTES) -> str:
    """A file's text; nothing of what cannot be read, or is no file: a pipe would be waited for."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def values_of(text: str, wanted: Collection[str]) -> dict[str, str]:
    """Of a desktop file's main group the values of these keys."""
    _, _, rest = f"\n{text}".partition(f"\n{_GROUP}\n")
    values: dict[str, str] = {}
    for line in rest.split("\n"):
        if line.startswith("["):
            break
        name, equals, value = line.partition("=")
        if equals and name.strip() in wanted:
            values.setdefault(name.strip(), value.strip())
    return values
