"""How far two copies of a file are the same, told by checksums of both ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from guestmux.file_worker import FileWorker
from guestmux.remote_files import RemoteFiles

COMPARED = 64 * 1024 * 1024
"""Bytes of one comparison: a slow disk reads them well within the deadline of a call, and what is wrong behind the
first so many does not spoil them."""


async def agreed(
    remote: RemoteFiles, path: bytes, local_checksum: Callable[[int, int], str], length: int
) -> int:
    """How many of the first `length` bytes are the same.

    Args:
        remote: the guest's files.
        path: the guest's copy.
        local_checksum: blake2b of a range of ours; may block.
        length: bytes that both are said to have.

    Returns:
        bytes from the beginning on, a multiple of COMPARED or `length`.
    """
    offset = 0
    async with FileWorker[str]() as worker:
        while offset < length:
            begin, count = offset, min(COMPARED, length - offset)
            await worker.start(partial(local_checksum, begin, count))
            theirs = await remote.checksum(path, begin, count)
            if theirs != (await worker.wait(), count):
                break
            offset += count
    return offset
