"""Names in a directory, watched by inotify(7); Python has no call for it, the C library does."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guestmux_transport.edge import edge_poller

READ_BYTES: Final = 16 * 1024
"""Most read at a time: room for some hundred changes, and always for one (NAME_MAX)."""

READS_PER_TURN: Final = 16
"""Reads before other tasks get their turn; what is left brings no edge, and needs none: the owner was told."""

_CLOSE_WRITE, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x8, 0x80, 0x100, 0x200, 0x400, 0x800
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_ONLY_DIRECTORY = 0x01000000
_MASK = _CLOSE_WRITE | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLY_DIRECTORY
_WHOLE = _OVERFLOW | _IGNORED | _DELETE_SELF | _MOVE_SELF
_HEADER = struct.Struct("=iIII")


class DirectoryWatch:
    """Calls when a file of one of some names was made, written to its end, replaced or removed.

    Args:
        directory: where.
        concerns: whether a name is of interest.
        changed: called in the loop, maybe once for several changes, and maybe when there was none after all.

    Raises:
        OSError: there is no such directory, or no watch to be had.
    """

    def __init__(self, directory: Path, concerns: Callable[[str], bool], changed: Callable[[], None]) -> None:
        self._concerns = concerns
        self._changed = changed
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK))
            self._watch = edge_poller().watch(self._fd, lambda _events: self._read())
        except OSError:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Call no more."""
        self._watch.stop()
        os.close(self._fd)

    def _read(self) -> None:
        concerned = False
        for _ in range(READS_PER_TURN):
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                break
            concerned |= self._any_concerns(data)
        else:
            # Somebody makes files without end; whatever else they are, ours may be among the next.
            concerned = True
        if concerned:
            self._changed()

    def _any_concerns(self, data: bytes) -> bool:
        at = 0
        while at < len(data):
            _, mask, _, length = _HEADER.unpack_from(data, at)
            name = data[at + _HEADER.size : at + _HEADER.size + length].rstrip(b"\0")
            if mask & _WHOLE or self._concerns(os.fsdecode(name)):
                return True
            at += _HEADER.size + length
        return False

    def _checked(self, result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
