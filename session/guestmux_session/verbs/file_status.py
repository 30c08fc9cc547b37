"""What the kernel knows about a file, as hosts are told."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable
from typing import Any

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.file_facts import FileStat, FileType
from guestmux_protocol.schema import INT64_MAX, INT64_MIN
from guestmux_session.verbs.paths import in_members

_BLOCK = 512
"""Bytes of one of `st_blocks`, whatever the file system's blocks are (stat(3type))."""

_TYPES: dict[int, FileType] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "char",
}

IN_WORDS: dict[FileType, str] = {
    "file": "a regular file",
    "directory": "a directory",
    "symlink": "a symbolic link",
    "fifo": "a pipe",
    "socket": "a socket",
    "block": "a block device",
    "char": "a character device",
}


class Names:
    """The names of users and groups, each looked up once: that may ask a server."""

    def __init__(self) -> None:
        self._users: dict[int, str | UnsetType] = {}
        self._groups: dict[int, str | UnsetType] = {}

    def user(self, uid: int) -> str | UnsetType:
        """A user's name, where there is one."""
        if uid not in self._users:
            self._users[uid] = _name(lambda: pwd.getpwuid(uid).pw_name)
        return self._users[uid]

    def group(self, gid: int) -> str | UnsetType:
        """A group's name, where there is one."""
        if gid not in self._groups:
            self._groups[gid] = _name(lambda: grp.getgrgid(gid).gr_name)
        return self._groups[gid]


def type_of(status: os.stat_result) -> FileType:
    """Which type of file it is."""
    return _TYPES[stat.S_IFMT(status.st_mode)]


def file_stat(status: os.stat_result, target: bytes | None = None) -> FileStat:
    """A file as FileStat; `target` is a symbolic link's."""
    return FileStat(**members(status, target, Names()))


def members(status: os.stat_result, target: bytes | None, names: Names) -> dict[str, Any]:
    """The members of FileStat."""
    return {
        "type": type_of(status),
        "size": status.st_size,
        "allocated": status.st_blocks * _BLOCK,
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "user": names.user(status.st_uid),
        "group": names.group(status.st_gid),
        # A file system may have years beyond 2262, QAPI's integers have not.
        "mtime_ns": min(max(status.st_mtime_ns, INT64_MIN), INT64_MAX),
        "device": _number(status.st_dev),
        "inode": _number(status.st_ino),
        **({} if target is None else in_members(target, "target")),
    }


def _number(value: int) -> int | UnsetType:
    return value if value <= INT64_MAX else UNSET


def _name(look_up: Callable[[], str]) -> str | UnsetType:
    try:
        name = look_up()
        name.encode()
    except (KeyError, UnicodeEncodeError):
        return UNSET
    return name
