"""guest-file-checksum: what a file or a part of it hashes to."""

from __future__ import annotations

from msgspec import UNSET

from guestmux_protocol.guest.file_facts import FileChecksum, GuestFileChecksum
from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.schema import INT64_MAX
from guestmux_session.declarations import command_of
from guestmux_session.verbs.disk_threads import DiskThreads, ThreadedFile
from guestmux_session.verbs.paths import asked_path, explained, shown
from guestmux_session.verbs.range_reader import RangeReader
from guestmux_session.verbs.regular_file import open_regular


class Checksums:
    """Hashes files in threads, a piece at a time, so that a call can be cancelled."""

    def __init__(self) -> None:
        self._threads = DiskThreads("checksum")

    def close_all(self) -> None:
        """The agent is stopping."""
        self._threads.close()

    @command_of(GUEST["guest-file-checksum"])
    async def checksum(self, asked: GuestFileChecksum) -> FileChecksum:
        """Tell a checksum."""
        path = asked_path(asked.path, asked.path_b64)
        length = min(INT64_MAX if asked.length is UNSET else asked.length, INT64_MAX - asked.offset)
        reader = RangeReader([(asked.offset, length)], checksum=True, to_the_end=True)
        with explained(f"failed to read file '{shown(path)}'"):
            async with ThreadedFile(self._threads, lambda: open_regular(path)) as file:
                while await file.begin(lambda: reader.read(file.descriptor)):
                    pass
        return FileChecksum(blake2b=reader.digest() or "", length=reader.count)
