"""Removing a directory with all that is in it, whatever others put there meanwhile.

Every step down is by descriptor and follows no symbolic link, so that nothing beside the directory is ever removed.
shutil.rmtree does as much, but a tree that is deep enough takes it all descriptors, or more calls than Python allows.
"""

from __future__ import annotations

import os
import stat
import threading
from itertools import islice

from guestmux_session.errors import CommandError

MAX_DEPTH = 200
"""Directories within each other: each takes a descriptor of the 1024 that a process has by default."""

_AT_ONCE = 1000
"""Names that are read before they are removed: many file systems lose count where both happens at a time."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Stopped(CommandError):
    """Nobody wants it to go on."""


class Removal:
    """The removal of one directory; blocks for as long as that takes.

    Args:
        stop: set by whoever wants it to end before the next file.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def run(self, path: bytes) -> None:
        """Remove it.

        Raises:
            CommandError: it nests too deeply, or was stopped.
            OSError: something in it cannot be removed; the rest may be gone.
        """
        self._empty(os.open(path, _FOLDER), MAX_DEPTH)
        os.rmdir(path)

    def _empty(self, folder: int, depth: int) -> None:
        """Remove what is in a directory, and close its descriptor."""
        try:
            if not depth:
                raise CommandError(f"failed to remove more than {MAX_DEPTH} directories within each other")
            while names := _some(folder):
                for name in names:
                    self._remove(folder, name, depth)
        finally:
            os.close(folder)

    def _remove(self, folder: int, name: bytes, depth: int) -> None:
        if self._stop.is_set():
            raise Stopped("the removal was given up; part of it is done")
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                self._empty(os.open(name, _FOLDER, dir_fd=folder), depth - 1)
                os.rmdir(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            # Somebody else removes it, too.
            return


def _some(folder: int) -> list[bytes]:
    with os.scandir(folder) as entries:
        return [os.fsencode(entry.name) for entry in islice(entries, _AT_ONCE)]
