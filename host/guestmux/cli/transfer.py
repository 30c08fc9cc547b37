"""One file's way between the host and the guest."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from guestmux.cli.descriptors import read_some, write_all
from guestmux.file import GuestFile

STANDARD = "-"
"""The name of stdin and stdout."""

OnBytes = Callable[[int], None]
"""Takes how many bytes went through."""


class HostFileError(Exception):
    """A file of this host cannot be read or written; the text says which and why."""


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Tell an OSError in the block as one about a file of this host.

    Raises:
        HostFileError: instead of it.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise HostFileError(f"{path}: {error.strerror or error}") from error


async def upload(source: int, name: str, target: GuestFile, on_bytes: OnBytes) -> int:
    """Copy an open file of the host into an open one of the guest; gives the bytes.

    Raises:
        HostFileError: it cannot be read.
        GuestmuxError, RemoteError: the guest's cannot be written.
    """
    total = 0
    while True:
        with translated(name):
            piece = await read_some(source)
        if not piece:
            return total
        left = memoryview(piece)
        while left:
            count = await target.write_some(left)
            left = left[count:]
            total += count
            on_bytes(count)


async def download(source: GuestFile, target: int, name: str, on_bytes: OnBytes) -> int:
    """Copy an open file of the guest into one of the host; gives the bytes.

    Raises:
        HostFileError: it cannot be written.
        GuestmuxError, RemoteError: the guest's cannot be read.
    """
    total = 0
    async for piece in source:
        with translated(name):
            await write_all(target, piece)
        total += len(piece)
        on_bytes(len(piece))
    return total


@contextmanager
def replacing(path: Path) -> Iterator[FileIO]:
    """Write a file of the host under a passing name beside it; it gets its own when the block ends well.

    What is no regular file (a FIFO, /dev/null) is written as it is.

    Raises:
        HostFileError: it cannot be made, or is a directory.
    """
    with translated(str(path)):
        final = path.resolve()
        kind = final.stat().st_mode if final.exists() else None
    if kind is not None and stat.S_ISDIR(kind):
        raise HostFileError(f"{path}: is a directory")
    if kind is not None and not stat.S_ISREG(kind):
        with translated(str(path)), final.open("wb", buffering=0) as file:
            yield file
        return
    passing = final.with_name(f".{final.name[:64]}.{secrets.token_hex(4)}.part")
    with translated(str(path)):
        file = passing.open("xb", buffering=0)
    try:
        with file:
            yield file
        with translated(str(path)):
            if kind is not None:
                passing.chmod(stat.S_IMODE(kind))
            passing.replace(final)
    except BaseException:
        with suppress(OSError):
            passing.unlink()
        raise
