"""One file's way between the guest and what is no file of the host: a pipe, a terminal, a device."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio

from guestmux.cli.descriptors import read_some, write_all
from guestmux.copying import PIECE, LocalFileError
from guestmux.errors import CommandDisabled, CommandFailed, CommandNotFound
from guestmux.file import GuestFile
from guestmux.guest import Guest
from guestmux.guest_stream import GuestStream

STANDARD = "-"
"""The name of stdin and stdout."""

NO_REGULAR_FILE = "no regular file"
"""What the guest says of a device or a pipe that is asked for as a stream."""

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


async def read_all(descriptor: int, name: str) -> AsyncIterator[bytes]:
    """What an open descriptor gives, to its end.

    Raises:
        LocalFileError: it cannot be read.
    """
    while True:
        with translated(name):
            piece = await read_some(descriptor)
        if not piece:
            return
        yield piece


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


async def pour(guest: Guest, path: str, target: int, name: str, routing: dict[str, Any]) -> None:
    """Write a file of the guest to an open descriptor: by a stream where the port carries them.

    Args:
        guest: whose.
        path: the guest's file.
        target: the descriptor.
        name: its name, for messages.
        routing: whose agent reads, and how long it may take.

    Raises:
        LocalFileError: it cannot be written.
        GuestmuxError, RemoteError: the guest's cannot be read.
    """
    stream = await _opened(guest, path, routing)
    if stream is None:
        async with await guest.open_file(path, **routing) as file:
            async for piece in file:
                await _write(target, name, piece)
        return
    async with stream:
        with suppress(anyio.EndOfStream):
            while True:
                await _write(target, name, await stream.receive(PIECE))
        await stream.result()


async def _opened(guest: Guest, path: str, routing: dict[str, Any]) -> GuestStream | None:
    """The file as a stream; None where it is none that can be one, as a device, or the guest has no streams."""
    if not guest.has_streams:
        return None
    try:
        return await guest.stream("guest-file-download", path=path, checksum=False, **routing)
    except CommandDisabled:
        raise
    except CommandNotFound:
        return None
    except CommandFailed as error:
        if NO_REGULAR_FILE not in error.desc:
            raise
        return None


async def _write(target: int, name: str, piece: bytes) -> None:
    with translated(name):
        await write_all(target, piece)
