"""One file that a host has open: stdio's meaning without stdio's buffer, so that what was written is there."""

from __future__ import annotations

import os
import threading

from guestmux_session.verbs.base64_text import encoded

_NEW_FILE_MODE = 0o666
"""What the umask takes from: a file that a host makes is like one that the user makes."""

_READ, _WRITE, _APPEND = (
    os.O_RDONLY,
    os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
)
_FLAGS = {"r": _READ, "w": _WRITE, "a": _APPEND}


def flags_of(mode: str) -> int | None:
    """The flags of open(2) for a mode of fopen(3), or None: `r`, `w` or `a`, then `+` and `b` in any order, once."""
    base, rest = mode[:1], mode[1:]
    if base not in _FLAGS or rest not in ("", "+", "b", "b+", "+b"):
        return None
    flags = _FLAGS[base]
    return flags & ~os.O_ACCMODE | os.O_RDWR if "+" in rest else flags


class OpenFile:
    """A file by its descriptor. Calls for it come one after the other, whichever threads they come from.

    Args:
        path: where it is.
        flags: of open(2), from `flags_of`.

    Raises:
        OSError: it cannot be opened.
        ValueError: the path holds a NUL.
    """

    def __init__(self, path: str, flags: int) -> None:
        # No waiting for a pipe's other end, and no terminal that becomes the agent's own.
        self._descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, _NEW_FILE_MODE)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close it; later calls raise OSError with EBADF."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def read(self, count: int) -> tuple[int, str, bool]:
        """Read up to `count` bytes: until there are so many, the end, or nothing more for now.

        Returns:
            How many, their base64, and whether the end was met.

        Raises:
            OSError: it cannot be read. BlockingIOError: a pipe is empty, and its other end open.
        """
        pieces: list[bytes] = []
        end = False
        with self._lock:
            while count > 0 and not end:
                try:
                    piece = os.read(self._descriptor, count)
                except BlockingIOError:
                    if not pieces:
                        raise
                    break
                count -= len(piece)
                end = not piece
                pieces.append(piece)
        # Of a file one read gives all of it, or all and the end: joining those copies nothing.
        data = b"".join(filter(None, pieces))
        return len(data), encoded(data), end

    def write(self, data: memoryview) -> int:
        """Write; gives how many bytes: fewer than all where a pipe is full.

        Raises:
            OSError: it cannot be written. BlockingIOError: a pipe has no room at all.
        """
        done = 0
        with self._lock:
            while done < len(data):
                try:
                    done += os.write(self._descriptor, data[done:])
                except BlockingIOError:
                    if not done:
                        raise
                    break
        return done

    def seek(self, offset: int, whence: int) -> int:
        """Go somewhere and tell where that is. Raises OSError."""
        with self._lock:
            return os.lseek(self._descriptor, offset, whence)
