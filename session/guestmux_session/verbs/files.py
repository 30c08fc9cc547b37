"""guest-file-*: the files that hosts have open, by handle."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from msgspec import UNSET

from guestmux_protocol.errors import MAX_SHOWN
from guestmux_protocol.guest.files import (
    MAX_READ,
    GuestFileClose,
    GuestFileFlush,
    GuestFileOpen,
    GuestFileRead,
    GuestFileReadCommand,
    GuestFileSeek,
    GuestFileSeekCommand,
    GuestFileWrite,
    GuestFileWriteCommand,
)
from guestmux_protocol.guest.table import GUEST
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.base64_text import decoded
from guestmux_session.verbs.open_file import OpenFile, flags_of

MAX_OPEN = 256
"""Files open at a time: a quarter of the descriptors that a process has by default; hosts open one or two."""

_FIRST_HANDLE = 1000
_WHENCE: dict[int | Literal["set", "cur", "end"], int] = {
    0: os.SEEK_SET,
    1: os.SEEK_CUR,
    2: os.SEEK_END,
    "set": os.SEEK_SET,
    "cur": os.SEEK_CUR,
    "end": os.SEEK_END,
}


class Files:
    """Files by handle. Every call may wait for a disk, so that all run in threads."""

    def __init__(self) -> None:
        self._open: dict[int, OpenFile] = {}
        self._handles = itertools.count(_FIRST_HANDLE)

    def __repr__(self) -> str:
        return f"<Files {len(self._open)} of {MAX_OPEN}>"

    def close_all(self) -> None:
        """Close every file: the agent is stopping."""
        while self._open:
            with suppress(OSError):
                self._open.popitem()[1].close()

    @command_of(GUEST["guest-file-open"])
    def open(self, asked: GuestFileOpen) -> int:
        """Open one; gives its handle."""
        flags = flags_of(asked.mode)
        if flags is None:
            raise CommandError(f"invalid file open mode '{asked.mode[:MAX_SHOWN]}'")
        if len(self._open) >= MAX_OPEN:
            raise CommandError(f"{MAX_OPEN} files are open; close one with guest-file-close first")
        with _explained(f"failed to open file '{asked.path[:MAX_SHOWN]}' (mode: '{asked.mode}')"):
            file = _opened(asked.path, flags)
        handle = next(self._handles)
        self._open[handle] = file
        return handle

    @command_of(GUEST["guest-file-close"])
    def close(self, asked: GuestFileClose) -> None:
        """Close one."""
        file = self._open.pop(asked.handle, None)
        if file is None:
            raise _unknown(asked.handle)
        with _explained("failed to close handle"):
            file.close()

    @command_of(GUEST["guest-file-read"])
    def read(self, asked: GuestFileReadCommand) -> GuestFileRead:
        """Read from one."""
        file = self._file(asked.handle)
        if not 0 <= asked.count <= MAX_READ:
            raise _invalid_count(asked.count)
        with _explained("failed to read file"):
            count, text, eof = file.read(asked.count)
        return GuestFileRead(count=count, buf_b64=text, eof=eof)

    @command_of(GUEST["guest-file-write"])
    def write(self, asked: GuestFileWriteCommand) -> GuestFileWrite:
        """Write to one; at once, so that a full disk is told by this call and no later one."""
        file = self._file(asked.handle)
        data = decoded(asked.buf_b64)
        count = len(data) if asked.count is UNSET else asked.count
        if not 0 <= count <= len(data):
            raise _invalid_count(count)
        with _explained("failed to write to file"):
            return GuestFileWrite(count=file.write(memoryview(data)[:count]), eof=False)

    @command_of(GUEST["guest-file-seek"])
    def seek(self, asked: GuestFileSeekCommand) -> GuestFileSeek:
        """Go to a position; the end is not known to be met before something is read, as in stdio."""
        file = self._file(asked.handle)
        if asked.whence not in _WHENCE:
            raise CommandError(f"invalid whence code {asked.whence}")
        with _explained("failed to seek file"):
            return GuestFileSeek(position=file.seek(asked.offset, _WHENCE[asked.whence]), eof=False)

    @command_of(GUEST["guest-file-flush"])
    def flush(self, asked: GuestFileFlush) -> None:
        """Nothing is held back here; only the handle must be one."""
        self._file(asked.handle)

    def _file(self, handle: int) -> OpenFile:
        file = self._open.get(handle)
        if file is None:
            raise _unknown(handle)
        return file


def _opened(path: str, flags: int) -> OpenFile:
    try:
        return OpenFile(path, flags)
    except ValueError as error:
        # A NUL in it, or half a surrogate pair: no file has such a name.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error


def _unknown(handle: int) -> CommandError:
    return CommandError(f"handle '{handle}' has not been found")


def _invalid_count(count: int) -> CommandError:
    return CommandError(f"value '{count}' is invalid for argument count")


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn OSError into what qemu-ga says."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{what}: {os.strerror(error.errno or 0)}") from error
