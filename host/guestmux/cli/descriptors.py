"""Our stdin, stdout and stderr, read and written without holding up the loop: their far ends may be slow."""

from __future__ import annotations

import os
import select
from collections.abc import Awaitable, Callable

import anyio

READ_BYTES = 1024 * 1024
"""Most of one read."""

WRITE_BYTES = select.PIPE_BUF
"""Most of one write: what a pipe that polls as writable takes without blocking (pipe(7))."""


async def read_some(descriptor: int) -> bytes:
    """The next bytes as they come; b"" at the end.

    The descriptor stays blocking: others, as the shell, share it.
    """
    await _ready(anyio.wait_readable, descriptor)
    return os.read(descriptor, READ_BYTES)


async def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it.

    Raises:
        BrokenPipeError: nobody reads it.
        OSError: it cannot be written.
    """
    left = memoryview(data)
    while left:
        most = WRITE_BYTES if await _ready(anyio.wait_writable, descriptor) else len(left)
        left = left[os.write(descriptor, left[:most]) :]


async def _ready(wait: Callable[[int], Awaitable[None]], descriptor: int) -> bool:
    """Wait until it can be read or written; gives whether it may ever block."""
    try:
        await wait(descriptor)
    except PermissionError:
        # A regular file: epoll takes none, and it is always ready.
        await anyio.lowlevel.checkpoint()
        return False
    return True
