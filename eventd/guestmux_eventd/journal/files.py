"""The journal's files: where they are, whether they can be ours, and how they are put aside."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from guestmux_eventd.journal.faults import JournalFault, Kind

NAME = "journal.sqlite"

ASIDE = ".corrupt"
"""What is put behind the name of a damaged journal. One is kept."""

_LOG = "-wal"
_PARTS = ("", _LOG, "-shm", "-journal")
"""What SQLite may have. We make no `-shm` (`schema.py`), but somebody who looked into the journal may have."""

_OTHERS_WRITE = 0o022
"""Whoever may write in the directory may put another file in the journal's place."""


_KINDS: dict[int | None, Kind] = {
    errno.ENOENT: "absent",
    errno.ENOTDIR: "absent",
    errno.EACCES: "owner",
    errno.EPERM: "owner",
    errno.EROFS: "read-only",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
}


class JournalFiles:
    """The files of one journal.

    Args:
        directory: where; systemd's StateDirectory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / NAME
        self._prepared: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"<JournalFiles {self.path}>"

    def prepare(self) -> bool:
        """Check them, and make the file where there is none.

        Returns:
            whether it was made.

        Raises:
            JournalFault: they cannot be used.
        """
        try:
            _check(self.directory, stat.S_ISDIR, "no directory")
            self._check_writable()
            made = self._make()
            self._prepared = self._identity()
        except OSError as error:
            raise _fault(error, self.path) from error
        return made

    def check_present(self) -> None:
        """See that the file is still the one that was prepared: SQLite goes on writing into one that was removed.

        Raises:
            JournalFault: it is not.
        """
        try:
            found = self._identity()
        except FileNotFoundError as error:
            raise JournalFault("absent", f"{self.path}: removed while it was in use") from error
        except OSError as error:
            raise _fault(error, self.path) from error
        if found != self._prepared:
            raise JournalFault("absent", f"{self.path}: another file took its place while it was in use")

    def _make(self) -> bool:
        with suppress(FileNotFoundError):
            _check(self.path, stat.S_ISREG, "no file")
            # SQLite would be content with reading.
            os.close(os.open(self.path, os.O_RDWR | os.O_NOFOLLOW))
            return False
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        return True

    def _identity(self) -> tuple[int, int]:
        found = self.path.lstat()
        return found.st_dev, found.st_ino

    def _check_writable(self) -> None:
        try:
            os.close(os.open(self.directory, os.O_WRONLY | os.O_TMPFILE, 0o600))
        except OSError as error:
            # Not every file system makes files without a name.
            if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOSPC}:
                raise

    def put_aside(self) -> Path:
        """Rename the journal, so that a new one can be begun.

        Returns:
            its new name.

        Raises:
            JournalFault: it stays where it is.
        """
        aside = Path(f"{self.path}{ASIDE}")
        try:
            # SQLite finds the log of a renamed file by its name: with it nothing is lost to whoever looks into it.
            for part in reversed(_PARTS):
                Path(f"{aside}{part}").unlink(missing_ok=True)
            for part in _PARTS:
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{part}").rename(f"{aside}{part}")
        except OSError as error:
            raise _fault(error, self.path) from error
        return aside

    def remove(self) -> None:
        """Remove the journal.

        Raises:
            JournalFault: it stays.
        """
        try:
            for part in _PARTS:
                Path(f"{self.path}{part}").unlink(missing_ok=True)
        except OSError as error:
            raise _fault(error, self.path) from error

    def size(self) -> int:
        """Bytes of the file and its log."""
        return sum(map(self._part_size, _PARTS))

    def log_size(self) -> int:
        """Bytes of the log."""
        return self._part_size(_LOG)

    def _part_size(self, part: str) -> int:
        try:
            return Path(f"{self.path}{part}").stat().st_size
        except FileNotFoundError:
            return 0


def _check(path: Path, is_right: Callable[[int], bool], otherwise: str) -> None:
    found = path.lstat()
    if not is_right(found.st_mode):
        raise JournalFault("absent", f"{path}: {otherwise}")
    if found.st_uid != os.geteuid():
        raise JournalFault("owner", f"{path}: belongs to uid {found.st_uid}, not to {os.geteuid()}")
    if found.st_mode & _OTHERS_WRITE:
        raise JournalFault("owner", f"{path}: others may write to it (mode {stat.S_IMODE(found.st_mode):o})")


def _fault(error: OSError, path: Path) -> JournalFault:
    return JournalFault(_KINDS.get(error.errno, "io"), f"{path}: {error.strerror}")
