"""One file that a host has open: stdio's meaning without stdio's buffer, so that what was written is there."""

from __future__ import annotations

import binascii
import os
import threading

# A multiple of three, so that the parts' base64 can be joined; small enough to stay in the processor's cache.
_CHUNK = 192 * 1024

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
        text = bytearray()
        total, more, end = 0, True, False
        buffer = memoryview(bytearray(min(count, _CHUNK)))
        with self._lock:
            while more and total < count:
                part = buffer[: count - total]
                got, end = self._fill(part, wait_is_error=not total)
                text += binascii.b2a_base64(part[:got], newline=False)
                total += got
                more = got == len(part)
        return total, text.decode("ascii"), end

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

    def _fill(self, part: memoryview, *, wait_is_error: bool) -> tuple[int, bool]:
        """Read as fread does: a file's one read may give less than there is. Gives how much, and whether it ended."""
        got = 0
        while got < len(part):
            try:
                now = os.readv(self._descriptor, [part[got:]])
            except BlockingIOError:
                if got or not wait_is_error:
                    break
                raise
            if not now:
                return got, True
            got += now
        return got, False
