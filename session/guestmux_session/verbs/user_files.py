"""Files in a user's home, read and written by root, whatever the user puts there meanwhile.

Every step below the home is by descriptor and follows no symbolic link, so that it is never about another file than
the one that was checked. What the user could not read is not read for anybody, since it might end up with the user.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

MAX_FILE: Final = 1024 * 1024
"""Bytes of a file that is read: ten thousand keys."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class NotTheUsers(OSError):
    """What is there does not belong to the user, or is no plain file."""


@dataclass(frozen=True)
class Owner:
    """Whose home it is, by number."""

    uid: int
    gid: int


@contextmanager
def user_folder(home: str, name: str, owner: Owner, *, make: bool) -> Iterator[int]:
    """Open a folder in a user's home.

    Args:
        home: where the home is; the way there is the administrator's, and followed.
        name: of the folder.
        owner: whose home it is.
        make: make it, for the user alone, where it is not there.

    Yields:
        A descriptor of it.

    Raises:
        NotTheUsers: it is somebody else's.
        OSError: it cannot be opened or made; ELOOP or ENOTDIR for a symbolic link.
    """
    with _opened(home, _FOLDER) as home_folder:
        if make:
            _make_folder(home_folder, name, owner)
        with _opened(name, _FOLDER | os.O_NOFOLLOW, home_folder) as folder:
            if os.fstat(folder).st_uid not in {owner.uid, os.geteuid()}:
                raise NotTheUsers("it belongs to another user")
            yield folder


def read_file(folder: int, name: str, owner: Owner) -> bytes:
    """Read a plain file that the user could read.

    Raises:
        NotTheUsers: the user could not, or it is no plain file, or larger than MAX_FILE.
        OSError: it cannot be read.
    """
    # Opening a pipe must not wait for its writer.
    with _opened(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, folder) as file:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise NotTheUsers("it is no plain file")
        if status.st_uid != owner.uid and not status.st_mode & stat.S_IROTH:
            raise NotTheUsers("it is a file that the user may not read")
        with open(file, "rb", closefd=False) as reader:
            data = reader.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise NotTheUsers(f"it has more than {MAX_FILE} bytes")
    return data


def write_file(folder: int, name: str, data: bytes, owner: Owner) -> None:
    """Put a file of the user's, readable by nobody else, in the place of what was there, at once or not at all.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    unfinished = f".{name}.{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with _opened(unfinished, flags, folder, 0o600) as file:
            with open(file, "wb", closefd=False) as writer:
                writer.write(data)
            os.fchown(file, owner.uid, owner.gid)
            os.fchmod(file, 0o600)
            os.fsync(file)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        _remove(folder, unfinished)
        raise


@contextmanager
def _opened(path: str, flags: int, folder: int | None = None, mode: int = 0o600) -> Iterator[int]:
    descriptor = os.open(path, flags, mode, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_folder(home: int, name: str, owner: Owner) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=home)
    except FileExistsError:
        return
    with _opened(name, _FOLDER | os.O_NOFOLLOW, home) as folder:
        # The user may have put another folder in its place; one with something in it must not become the user's.
        if os.fstat(folder).st_uid != os.geteuid() or os.listdir(folder):  # noqa: PTH208 - a descriptor
            raise NotTheUsers("it changed while it was made")
        os.fchown(folder, owner.uid, owner.gid)
        os.fchmod(folder, 0o700)


def _remove(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
