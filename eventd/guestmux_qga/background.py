"""Becoming a daemon as qemu-ga does (become_daemon in qga/main.c), and the pid file that tells of it."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from guestmux_qga.options import ConfigurationError

PIDFILE_MODE = 0o600

DAEMON_UMASK = 0o077


class PidFile:
    """A file with our process id, locked for as long as we live (qemu_write_pidfile in util/oslib-posix.c).

    Args:
        path: of the file; absolute, as a daemon changes its directory.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._fd: int | None = None

    def write(self) -> None:
        """Lock the file and write it.

        Raises:
            ConfigurationError: it cannot be written, or another process holds it.
        """
        try:
            fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, PIDFILE_MODE)
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._fd = fd
            os.ftruncate(fd, 0)
            os.write(fd, b"%d\n" % os.getpid())
        except BlockingIOError as error:
            raise ConfigurationError(f"{self._path}: another process runs with this pid file") from error
        except OSError as error:
            raise ConfigurationError(f"cannot write the pid file {self._path}: {error.strerror}") from error

    def remove(self) -> None:
        """Remove the file, if it is ours."""
        if self._fd is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None


def fork_away() -> None:
    """Go on in a child; the process that was started exits with 0. No thread may run yet."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os._exit(0)


def leave_terminal() -> None:
    """Give up the session, the directory and the standard streams of whoever started us."""
    os.umask(DAEMON_UMASK)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    if null > 2:
        os.close(null)
