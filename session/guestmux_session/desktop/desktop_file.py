"""Desktop files: where they are, and what stands in them (Desktop Entry Specification 1.5)."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from guestmux_session.desktop.texts import one_line

SUFFIX = ".desktop"

MAX_FILES = 4096
"""Files that are read: ten times a well-filled desktop's."""

MAX_DEPTH = 8
"""Folders one below the other: menus have two or three."""

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
    above = len(folder.parts)
    for there, below, names in os.walk(folder):
        path = Path(there)
        if len(path.parts) - above >= MAX_DEPTH:
            below.clear()
        yield from (path / name for name in names if name.endswith(SUFFIX))


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
