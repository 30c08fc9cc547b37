"""Opening what is to be a regular file without touching what is none: to open a tape rewinds it already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from guestmux_session.errors import CommandError
from guestmux_session.verbs.file_status import IN_WORDS, type_of
from guestmux_session.verbs.paths import shown


def open_regular(path: bytes, flags: int = os.O_RDONLY, *, follow: bool = True) -> int:
    """Open a file that is there.

    Args:
        path: where it is.
        flags: how, as for open(2).
        follow: whether it may be reached by a symbolic link; those on the way to it always are.

    Raises:
        CommandError: there is something else than a regular file.
        OSError: it cannot be opened.
    """
    with pinned(path, follow=follow) as there:
        kind = type_of(os.fstat(there))
        if kind != "file":
            raise CommandError(
                f"failed to open file '{shown(path)}': it is {IN_WORDS[kind]}, no regular file"
            )
        return os.open(by_descriptor(there), flags | os.O_NONBLOCK | os.O_CLOEXEC)


@contextmanager
def pinned(path: bytes, *, follow: bool) -> Iterator[int]:
    """A descriptor of whatever is there, good for nothing but to name it (O_PATH in open(2)). Raises OSError."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def by_descriptor(descriptor: int) -> str:
    """A path that is this very file, whatever became of its name (proc_pid_fd(5))."""
    return f"/proc/self/fd/{descriptor}"
