"""guest-file-make-directory, -make-symlink, -rename, -remove and -set-attributes: what changes files as wholes."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import threading
from contextlib import suppress

from msgspec import UNSET

from guestmux_protocol.guest.file_changes import (
    GuestFileMakeDirectory,
    GuestFileMakeSymlink,
    GuestFileRemove,
    GuestFileRename,
    GuestFileSetAttributes,
)
from guestmux_protocol.guest.table import GUEST
from guestmux_session.declarations import command_of
from guestmux_session.verbs.disk_threads import DiskThreads
from guestmux_session.verbs.paths import asked_path, explained, shown
from guestmux_session.verbs.regular_file import by_descriptor, pinned
from guestmux_session.verbs.removal import Removal

_UNCHANGED = -1
"""What chown(2) takes for an owner that is to stay."""


class FileChanges:
    """Changes files. Every call may wait for a disk, so that all run in threads."""

    def __init__(self) -> None:
        self._threads = DiskThreads("removal")

    def close_all(self) -> None:
        """The agent is stopping."""
        self._threads.close()

    @command_of(GUEST["guest-file-make-directory"])
    def make_directory(self, asked: GuestFileMakeDirectory) -> None:
        """Make a directory."""
        path = asked_path(asked.path, asked.path_b64)
        with explained(f"failed to make directory '{shown(path)}'"):
            try:
                _make_directory(path, asked)
            except FileExistsError:
                if not (asked.exist_ok and os.path.isdir(path)):
                    raise

    @command_of(GUEST["guest-file-make-symlink"])
    def make_symlink(self, asked: GuestFileMakeSymlink) -> None:
        """Make a symbolic link."""
        path = asked_path(asked.path, asked.path_b64)
        target = asked_path(asked.target, asked.target_b64, "target")
        with explained(f"failed to make symbolic link '{shown(path)}'"):
            os.symlink(target, path)

    @command_of(GUEST["guest-file-rename"])
    def rename(self, asked: GuestFileRename) -> None:
        """Give a file another name."""
        source = asked_path(asked.source, asked.source_b64, "from")
        to = asked_path(asked.to, asked.to_b64, "to")
        with explained(f"failed to rename '{shown(source)}' to '{shown(to)}'"):
            os.replace(source, to)

    @command_of(GUEST["guest-file-remove"])
    async def remove(self, asked: GuestFileRemove) -> None:
        """Remove a file. A directory with much in it takes its time, so that a call can be cancelled."""
        path = asked_path(asked.path, asked.path_b64)
        stop = threading.Event()
        with explained(f"failed to remove '{shown(path)}'"):
            try:
                removal = self._threads.begin(lambda: _remove(path, stop, recursive=asked.recursive))
                await asyncio.wrap_future(removal)
            finally:
                stop.set()

    @command_of(GUEST["guest-file-set-attributes"])
    def set_attributes(self, asked: GuestFileSetAttributes) -> None:
        """Change what a file is like: all of it one and the same file, whatever becomes of its name meanwhile."""
        path = asked_path(asked.path, asked.path_b64)
        with (
            explained(f"failed to set attributes of '{shown(path)}'"),
            pinned(path, follow=asked.follow) as file,
        ):
            _set(file, asked)


def _remove(path: bytes, stop: threading.Event, *, recursive: bool) -> None:
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
    elif recursive:
        Removal(stop).run(path)
    else:
        os.rmdir(path)


def _make_directory(path: bytes, asked: GuestFileMakeDirectory) -> None:
    try:
        os.mkdir(path, asked.mode)
    except FileNotFoundError:
        if not asked.parents:
            raise
        _make_parents(path)
        os.mkdir(path, asked.mode)


def _make_parents(path: bytes) -> None:
    """Make what is above a directory. Not by os.makedirs, for which a long path is too many calls within each other."""
    for slash in re.finditer(rb"(?<=[^/])/+(?=[^/])", path):
        with suppress(FileExistsError):
            os.mkdir(path[: slash.start()])


def _set(file: int, asked: GuestFileSetAttributes) -> None:
    """Change what is given: the owner first, since that takes setuid away, the time last, since the others set it."""
    path = by_descriptor(file)
    uid = _UNCHANGED if asked.uid is UNSET else asked.uid
    gid = _UNCHANGED if asked.gid is UNSET else asked.gid
    if (uid, gid) != (_UNCHANGED, _UNCHANGED):
        os.chown(path, uid, gid)
    if asked.size is not UNSET:
        os.truncate(path, asked.size)
    if asked.mode is not UNSET:
        os.chmod(path, asked.mode)
    if asked.mtime_ns is not UNSET:
        os.utime(path, ns=(os.fstat(file).st_atime_ns, asked.mtime_ns))
