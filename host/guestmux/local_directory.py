"""A directory of this host that a copy writes into: by one name at a time, never through a symbolic link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from guestmux.copying import CopyFailed, LocalFileError, joined, part_name, shown

NAME_BYTES = 255
"""Longest name (NAME_MAX)."""

OWN_ONLY = 0o700
"""A directory's mode while it is filled: nobody looks in, and a read-only one can be filled as well."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without waiting for whoever writes a FIFO: it may have taken a file's place."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def translated(path: bytes) -> Iterator[None]:
    """Tell an OSError in the block as one about a file of this host.

    Raises:
        LocalFileError: instead of it.
    """
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"{shown(path)}: {error.strerror or error}") from error


def checked_name(untrusted_name: bytes) -> bytes:
    """A name that a guest gave, where it is one: it stays in the directory that it is used in.

    Raises:
        CopyFailed: it is none.
    """
    if untrusted_name in {b"", b".", b".."} or b"/" in untrusted_name or b"\0" in untrusted_name:
        raise CopyFailed(f"the guest gives a name that is none: {untrusted_name!r}")
    if len(untrusted_name) > NAME_BYTES:
        raise CopyFailed(f"a name has at most {NAME_BYTES} bytes: {shown(untrusted_name)}")
    return untrusted_name


class LocalDirectory:
    """An open directory; ends with `with`. All methods may block, and raise LocalFileError.

    Args:
        descriptor: it, open; closed at the end.
        path: its name, for messages.
    """

    def __init__(self, descriptor: int, path: bytes) -> None:
        self.descriptor = descriptor
        self.path = path

    @classmethod
    def open(cls, path: bytes) -> LocalDirectory:
        """Open a directory that the user named; symbolic links in its path are his."""
        with translated(path):
            return cls(os.open(path or b".", _DIRECTORY), path)

    def descend(self, names: Sequence[bytes]) -> LocalDirectory:
        """Open a directory below this one, name by name, through no symbolic link."""
        descriptor, path = os.dup(self.descriptor), self.path
        for name in names:
            path = joined(path, name)
            try:
                with self._inside(path):
                    below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
        return LocalDirectory(descriptor, path)

    def make_directory(self, name: bytes) -> bool:
        """Make a directory in this one, for its owner only as yet; gives whether there was none."""
        path = joined(self.path, name)
        with self._inside(path):
            try:
                os.mkdir(name, OWN_ONLY, dir_fd=self.descriptor)
            except FileExistsError:
                if self._is_directory(name):
                    return False
                raise LocalFileError(f"{shown(path)}: is there, and is no directory") from None
        return True

    def make_symlink(self, name: bytes, target: bytes) -> None:
        """Make a symbolic link, in place of a file or a link that is there."""
        passing = part_name(name)
        with self._inside(joined(self.path, name)):
            with suppress(FileNotFoundError):
                os.unlink(passing, dir_fd=self.descriptor)
            os.symlink(target, passing, dir_fd=self.descriptor)
            try:
                os.rename(passing, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            except OSError:
                os.unlink(passing, dir_fd=self.descriptor)
                raise

    def look(self, name: bytes) -> os.stat_result | None:
        """What is called so in this directory, a symbolic link not followed; None where nothing is."""
        with self._inside(joined(self.path, name)):
            try:
                return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def look_at_all(self, names: Sequence[bytes]) -> list[os.stat_result | LocalFileError | None]:
        """The same for several names; with the errors, of which one must not hide the others."""
        found: list[os.stat_result | LocalFileError | None] = []
        for name in names:
            try:
                found.append(self.look(name))
            except LocalFileError as error:
                found.append(error)
        return found

    def look_to_replace(self, name: bytes) -> os.stat_result | None:
        """The same, of what a file is to replace.

        Raises:
            LocalFileError: it is a directory, or a device or the like that others use by its name.
        """
        found = self.look(name)
        if found is not None and not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            what = "is a directory" if stat.S_ISDIR(found.st_mode) else "is there, and is no file"
            raise LocalFileError(f"{shown(joined(self.path, name))}: {what}")
        return found

    def open_file(self, name: bytes) -> int:
        """Open a file in this directory to read it, through no symbolic link; gives the descriptor."""
        with translated(joined(self.path, name)):
            return os.open(name, _READ, dir_fd=self.descriptor)

    def names(self) -> list[bytes]:
        """The names of all that is in it, sorted."""
        with translated(self.path), os.scandir(self.descriptor) as entries:
            return sorted(os.fsencode(entry.name) for entry in entries)

    def read_link(self, name: bytes) -> bytes:
        """What a symbolic link says."""
        with translated(joined(self.path, name)):
            return os.readlink(name, dir_fd=self.descriptor)

    def set_times(self, name: bytes, nanoseconds: int, owner: tuple[int, int]) -> None:
        """Give what is called so, itself and not what it links to, a time, and its owner where we may."""
        with self._inside(joined(self.path, name)):
            with suppress(PermissionError):
                os.chown(name, *owner, dir_fd=self.descriptor, follow_symlinks=False)
            os.utime(name, ns=(nanoseconds, nanoseconds), dir_fd=self.descriptor, follow_symlinks=False)

    def set_attributes(self, mode: int, nanoseconds: int | None, owner: tuple[int, int] | None) -> None:
        """Give this directory its attributes, which may shut us out."""
        with self._inside(self.path):
            set_attributes(self.descriptor, mode, nanoseconds, owner)

    def close(self) -> None:
        """Close it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _is_directory(self, name: bytes) -> bool:
        return stat.S_ISDIR(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode)

    @contextmanager
    def _inside(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # ENOTDIR as well: so a symbolic link ends O_DIRECTORY with O_NOFOLLOW.
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise LocalFileError(f"{shown(path)}: is there, and is no directory") from error
            raise LocalFileError(f"{shown(path)}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def set_attributes(
    descriptor: int, mode: int | None, nanoseconds: int | None, owner: tuple[int, int] | None
) -> None:
    """Give an open file its attributes; the owner only where we may give files away.

    Raises:
        OSError: a file system does not take them.
    """
    if owner is not None:
        with suppress(PermissionError):
            os.fchown(descriptor, *owner)
    if mode is not None:
        os.fchmod(descriptor, mode)
    if nanoseconds is not None:
        os.utime(descriptor, ns=(nanoseconds, nanoseconds))


def umask() -> int:
    """This process's umask, as the kernel tells it; setting it to read it would race with other threads."""
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - a process's own, no path of the user's
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    return 0o077
