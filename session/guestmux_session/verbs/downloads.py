"""guest-file-download: a file's bytes to a host."""

from __future__ import annotations

import os

from msgspec import UNSET

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.guest.transfer import GuestFileDownload, Transferred
from guestmux_session.errors import CommandError
from guestmux_session.streams import ServedStream, stream_of
from guestmux_session.verbs.disk_threads import DiskThreads, ThreadedFile
from guestmux_session.verbs.file_status import file_stat
from guestmux_session.verbs.paths import asked_path, explained, shown
from guestmux_session.verbs.range_reader import RangeReader
from guestmux_session.verbs.ranges import asked_ranges
from guestmux_session.verbs.regular_file import open_regular
from guestmux_session.verbs.turns import Turns

MAX_DOWNLOADS = 128
"""Downloads at a time, each with two pieces of a file in memory."""


class Downloads:
    """Sends files."""

    def __init__(self) -> None:
        self._threads = DiskThreads("download")
        self._turns = Turns(MAX_DOWNLOADS, "downloads")

    def close_all(self) -> None:
        """The agent is stopping."""
        self._threads.close()

    @stream_of(GUEST["guest-file-download"])
    async def download(self, asked: GuestFileDownload, stream: ServedStream) -> Transferred:
        """Send one: while a piece is on its way to the host the next one is read."""
        path = asked_path(asked.path, asked.path_b64)
        ranges = asked_ranges(asked.ranges)
        reader = RangeReader(ranges, checksum=asked.checksum, to_the_end=asked.ranges is UNSET)
        with self._turns.taken(), explained(f"failed to read file '{shown(path)}'"):
            async with ThreadedFile(self._threads, lambda: open_regular(path)) as file:
                before = await file.begin(lambda: file_stat(os.fstat(file.descriptor)))
                await stream.accept(before)
                await _send_all(file, reader, stream)
                if asked.ranges is UNSET:
                    await file.begin(lambda: _check_length(file.descriptor, before.size, reader.count))
        return Transferred(bytes=reader.count, blake2b=reader.digest() or UNSET)


async def _send_all(file: ThreadedFile, reader: RangeReader, stream: ServedStream) -> None:
    coming = file.begin(lambda: reader.read(file.descriptor))
    while data := await coming:
        coming = file.begin(lambda: reader.read(file.descriptor))
        await stream.send(data)


def _check_length(file: int, before: int, count: int) -> None:
    """Fail where a file became shorter. Files of the kernel's have a size that is nothing's, and keep it."""
    now = os.fstat(file).st_size
    if count < before and now < before:
        raise CommandError(f"the file became shorter while it was read: {now} bytes instead of {before}")
