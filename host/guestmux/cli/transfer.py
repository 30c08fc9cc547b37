"""One file's way between the guest and what is no file of the host: a pipe, a terminal, a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from guestmux.cli.descriptors import read_some, write_all
from guestmux.copying import LocalFileError
from guestmux.file import GuestFile

STANDARD = "-"
"""The name of stdin and stdout."""

OnBytes = Callable[[int], None]
"""Takes how many bytes went through."""


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Tell an OSError in the block as one about a file of this host.

    Raises:
        LocalFileError: instead of it.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LocalFileError(f"{path}: {error.strerror or error}") from error


async def upload(source: int, name: str, target: GuestFile, on_bytes: OnBytes) -> int:
    """Copy what an open descriptor gives into an open file of the guest; gives the bytes.

    Raises:
        LocalFileError: it cannot be read.
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
    """Copy an open file of the guest to an open descriptor; gives the bytes.

    Raises:
        LocalFileError: it cannot be written.
        GuestmuxError, RemoteError: the guest's cannot be read.
    """
    total = 0
    async for piece in source:
        with translated(name):
            await write_all(target, piece)
        total += len(piece)
        on_bytes(len(piece))
    return total
