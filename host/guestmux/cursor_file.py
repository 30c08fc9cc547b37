"""The file that a stream's position is kept in: one consumer at a time, replaced whole."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from guestmux.errors import GuestmuxError
from guestmux_protocol.commands import Position
from guestmux_protocol.json_text import encode

MAX_BYTES = 4096
"""Bytes of the file; a position takes some 80."""


class CursorError(GuestmuxError):
    """The file of a stream's position cannot be used; the text names it and says why."""


class CursorFile:
    """The file, as `{"epoch": "…", "seq": 17}`. All methods may block, and raise CursorError.

    Beside it are `PATH.lock`, which stays, and for moments `PATH.new`.

    Args:
        path: where it is; what a symbolic link points to.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock: weakref.finalize[[int], CursorFile] | None = None

    def __repr__(self) -> str:
        return f"<CursorFile {self.path} {'held' if self._lock else 'not held'}>"

    def open(self) -> Position | None:
        """Take it for this consumer alone; gives the position in it, None where there is no such file yet."""
        with self._naming("cannot be locked"):
            self.path = Path(os.path.realpath(self.path))
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            # Whoever drops a stream without a word gives the file back as well.
            self._lock = weakref.finalize(self, os.close, lock)
        try:
            self._take(lock)
            return self._read()
        except CursorError:
            self.close()
            raise

    def save(self, position: Position) -> None:
        """Replace the position. It is on disk when this returns."""
        new = Path(f"{self.path}.new")
        with self._naming("cannot be written"):
            with new.open("wb") as file:
                file.write(encode({"epoch": position.epoch, "seq": position.seq}) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            _sync_directory(self.path.parent)

    def close(self) -> None:
        """Give it back."""
        if self._lock is not None:
            self._lock()
            self._lock = None

    def _take(self, lock: int) -> None:
        try:
            with self._naming("cannot be locked"):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except CursorError as error:
            if isinstance(error.__cause__, BlockingIOError):
                raise CursorError(f"{self.path}: another consumer keeps its position there") from None
            raise

    def _read(self) -> Position | None:
        try:
            with self._naming("cannot be read"), self.path.open("rb") as file:
                untrusted_text = file.read(MAX_BYTES + 1)
        except CursorError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        try:
            position = msgspec.json.decode(untrusted_text, type=Position)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            position = None
        if position is None or not position.epoch or position.seq < 0:
            raise CursorError(f"{self.path}: this is no position; remove it to begin with the present events")
        return position

    @contextmanager
    def _naming(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CursorError(f"{self.path}: {what}: {error.strerror}") from error


def _sync_directory(path: Path) -> None:
    """Have a new name survive a power failure: were it forgotten, all that came since would be, too."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
