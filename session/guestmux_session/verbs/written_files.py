"""The files that uploads write to: each is one upload's at a time."""

from __future__ import annotations

import os
import threading

from msgspec import UNSET

from guestmux_protocol.guest.transfer import GuestFileUpload
from guestmux_session.errors import CommandError
from guestmux_session.verbs.paths import shown
from guestmux_session.verbs.regular_file import open_regular

_MADE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_TRIES = 10
"""Times that a file may come or go between looking for it and opening it, before that is an error."""

Identity = tuple[int, int]


class WrittenFiles:
    """Opens and closes them, in any thread.

    Who writes to a file is noted here and not by a lock of the file system's: that is for anybody to take who may read
    the file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_descriptor: dict[int, Identity] = {}

    def open(self, path: bytes, asked: GuestFileUpload) -> int:
        """Open one, or make it, and give it the size that is asked for.

        Raises:
            CommandError: it is no regular file, or another upload's.
            OSError: it cannot be opened.
        """
        descriptor = _opened(path, asked)
        try:
            self._note(path, descriptor)
        except CommandError:
            os.close(descriptor)
            raise
        try:
            _set_size(descriptor, asked)
        except OSError:
            self.close(descriptor)
            raise
        return descriptor

    def close(self, descriptor: int) -> None:
        """Close one. Raises OSError, as NFS does where a write failed."""
        with self._lock:
            del self._by_descriptor[descriptor]
            os.close(descriptor)

    def _note(self, path: bytes, descriptor: int) -> None:
        status = os.fstat(descriptor)
        identity = status.st_dev, status.st_ino
        with self._lock:
            if identity in self._by_descriptor.values():
                raise CommandError(f"failed to open file '{shown(path)}': another upload is writing to it")
            self._by_descriptor[descriptor] = identity


def _opened(path: bytes, asked: GuestFileUpload) -> int:
    for _ in range(_TRIES):
        if not asked.exclusive:
            try:
                return open_regular(path, os.O_WRONLY, follow=False)
            except FileNotFoundError:
                if not asked.create:
                    raise
        try:
            return os.open(path, _MADE, asked.mode)
        except FileExistsError:
            if asked.exclusive:
                raise
    raise CommandError(f"failed to open file '{shown(path)}': it comes and goes")


def _set_size(descriptor: int, asked: GuestFileUpload) -> None:
    if asked.truncate:
        os.ftruncate(descriptor, 0)
    if asked.size is not UNSET:
        os.ftruncate(descriptor, asked.size)
