"""guest-file-stat and -list: what files are like, and what is in a directory."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator

from msgspec import UNSET

from guestmux_protocol.guest.file_facts import FileEntry, FileList, FileStat, GuestFileList, GuestFileStat
from guestmux_protocol.guest.table import GUEST
from guestmux_session.declarations import command_of
from guestmux_session.verbs.file_status import Names, file_stat, members
from guestmux_session.verbs.paths import asked_path, explained, in_members, shown


class FileFacts:
    """Looks at files. Every call may wait for a disk, so that all run in threads."""

    @command_of(GUEST["guest-file-stat"])
    def stat(self, asked: GuestFileStat) -> FileStat:
        """Tell what a file is like."""
        path = asked_path(asked.path, asked.path_b64)
        with explained(f"failed to look at '{shown(path)}'"):
            status = os.stat(path, follow_symlinks=asked.follow)
            return file_stat(status, os.readlink(path) if stat.S_ISLNK(status.st_mode) else None)

    @command_of(GUEST["guest-file-list"])
    def list(self, asked: GuestFileList) -> FileList:
        """Tell a page of a directory. No more names are held than it has, however many there are."""
        path = asked_path(asked.path, asked.path_b64)
        after = _after(asked)
        with explained(f"failed to list '{shown(path)}'"):
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                behind = (name for name in _names(folder) if name > after)
                page = heapq.nsmallest(asked.limit + 1, behind)
                return FileList(
                    entries=[*_entries(folder, page[: asked.limit])], more=len(page) > asked.limit
                )
            finally:
                os.close(folder)


def _after(asked: GuestFileList) -> bytes:
    if asked.after is UNSET and asked.after_b64 is UNSET:
        return b""
    return asked_path(asked.after, asked.after_b64, "after")


def _names(folder: int) -> Iterator[bytes]:
    with os.scandir(folder) as found:
        for entry in found:
            yield os.fsencode(entry.name)


def _entries(folder: int, page: list[bytes]) -> Iterator[FileEntry]:
    names = Names()
    for name in page:
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            target = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(status.st_mode) else None
        except FileNotFoundError:
            # It went meanwhile.
            continue
        yield FileEntry(**{**members(status, target, names), **in_members(name, "name")})
