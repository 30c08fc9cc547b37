"""guest-file-extents: where a file has data."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from guestmux_protocol.guest.file_facts import SMALLEST_HOLE, FileExtents, GuestFileExtents
from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.schema import INT64_MAX
from guestmux_session.declarations import command_of
from guestmux_session.verbs.paths import asked_path, explained, shown
from guestmux_session.verbs.regular_file import open_regular

MAX_LOOKED_AT = 100_000
"""Extents that one call looks at, however small the holes between them are: 0.2 s."""


class Extents:
    """Asks file systems for holes. It may wait for a disk, so that it runs in threads."""

    @command_of(GUEST["guest-file-extents"])
    def extents(self, asked: GuestFileExtents) -> FileExtents:
        """Tell where a file has data, from an offset on."""
        path = asked_path(asked.path, asked.path_b64)
        with explained(f"failed to look for holes in '{shown(path)}'"):
            file = open_regular(path)
            try:
                return _joined(_data(file, asked.offset), asked.limit)
            finally:
                os.close(file)


def _data(file: int, offset: int) -> Iterator[tuple[int, int]]:
    """Where data begins and ends, ascending."""
    while (begin := _seek(file, offset, os.SEEK_DATA)) is not None:
        # None only where the file became shorter meanwhile.
        end = _seek(file, begin, os.SEEK_HOLE)
        if end is None:
            return
        yield begin, end
        offset = end


def _seek(file: int, offset: int, whence: int) -> int | None:
    try:
        return os.lseek(file, offset, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _joined(data: Iterator[tuple[int, int]], limit: int) -> FileExtents:
    """Extents with holes between them that are worth it."""
    extents: list[list[int]] = []
    end = -INT64_MAX
    for looked_at, (begin, its_end) in enumerate(data):
        if looked_at == MAX_LOOKED_AT:
            return FileExtents(extents=extents, more=True)
        if begin - end < SMALLEST_HOLE:
            extents[-1][1] = its_end - extents[-1][0]
        elif len(extents) == limit:
            return FileExtents(extents=extents, more=True)
        else:
            extents.append([begin, its_end - begin])
        end = its_end
    return FileExtents(extents=extents, more=False)
