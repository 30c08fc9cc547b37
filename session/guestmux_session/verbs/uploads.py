"""guest-file-upload: a host's bytes into a file."""

from __future__ import annotations

import asyncio
import os

import anyio
from msgspec import UNSET

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.guest.transfer import GuestFileUpload, Transferred
from guestmux_session.errors import CommandError
from guestmux_session.streams import ServedStream, stream_of
from guestmux_session.verbs.disk_threads import PIECE_BYTES, DiskThreads, ThreadedFile
from guestmux_session.verbs.file_status import file_stat
from guestmux_session.verbs.paths import asked_path, explained, shown
from guestmux_session.verbs.range_writer import RangeWriter
from guestmux_session.verbs.ranges import asked_ranges
from guestmux_session.verbs.turns import Turns
from guestmux_session.verbs.written_files import WrittenFiles

MAX_UPLOADS = 128
"""Uploads at a time, each with two pieces of a file in memory."""


class Uploads:
    """Receives files."""

    def __init__(self) -> None:
        self._threads = DiskThreads("upload")
        self._turns = Turns(MAX_UPLOADS, "uploads")
        self._files = WrittenFiles()

    def close_all(self) -> None:
        """The agent is stopping."""
        self._threads.close()

    @stream_of(GUEST["guest-file-upload"])
    async def upload(self, asked: GuestFileUpload, stream: ServedStream) -> Transferred:
        """Receive one: while a piece is written the next one comes in."""
        path = asked_path(asked.path, asked.path_b64)
        writer = RangeWriter(asked_ranges(asked.ranges), checksum=asked.checksum)
        opened = ThreadedFile(self._threads, lambda: self._files.open(path, asked), self._files.close)
        with self._turns.taken(), explained(f"failed to write to file '{shown(path)}'"):
            async with opened as file:
                await stream.accept(await file.begin(lambda: file_stat(os.fstat(file.descriptor))))
                await _receive_all(file, writer, stream)
                if asked.ranges is not UNSET and (missing := writer.missing()):
                    raise CommandError(f"{missing} bytes less came than the ranges take")
                if asked.sync:
                    await file.begin(lambda: os.fsync(file.descriptor))
                await file.begin(file.close)
        return Transferred(bytes=writer.count, blake2b=writer.digest() or UNSET)


async def _receive_all(file: ThreadedFile, writer: RangeWriter, stream: ServedStream) -> None:
    """Hand over what came as soon as the thread is free, and wait for the thread when a piece is there."""
    came: list[bytes] = []
    size = 0
    writing: asyncio.Future[None] | None = None
    while True:
        try:
            data = await stream.receive(PIECE_BYTES)
        except anyio.EndOfStream:
            break
        came.append(data)
        size += len(data)
        if writing is None or writing.done() or size >= PIECE_BYTES:
            writing = await _write_next(file, writer, writing, came)
            came, size = [], 0
    await (await _write_next(file, writer, writing, came))


async def _write_next(
    file: ThreadedFile, writer: RangeWriter, before: asyncio.Future[None] | None, came: list[bytes]
) -> asyncio.Future[None]:
    if before is not None:
        await before
    return file.begin(lambda: writer.write(file.descriptor, came[0] if len(came) == 1 else b"".join(came)))
