"""One file's way from the guest to this host."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import partial

import anyio

from guestmux.agreement import agreed
from guestmux.calling import read_as
from guestmux.copying import (
    PERMISSIONS,
    PIECE,
    ChecksumMismatch,
    CopyFailed,
    CopyOptions,
    CopyWatcher,
    shown,
    total,
)
from guestmux.errors import CallTimeout, UnexpectedReply
from guestmux.file_worker import FileWorker, in_thread
from guestmux.guest_stream import GuestStream
from guestmux.local_directory import LocalDirectory, umask
from guestmux.local_part import LocalPart, range_checksum
from guestmux.local_ranges import Range
from guestmux.range_sink import RangeSink
from guestmux.remote_files import RemoteFiles
from guestmux_protocol.guest.file_facts import FileStat
from guestmux_protocol.guest.transfer import Transferred

STALL_TIMEOUT = 60.0
"""Seconds in which at least one byte must move: a guest that is frozen for a snapshot comes back sooner."""

GATHERED = 64
"""Pieces that are written at once at most, however small they are."""


class Download:
    """Copies files of the guest.

    Args:
        remote: the guest's files.
        options: how.
        watcher: is told of it.

    Attributes:
        bytes: that came over the wire.
    """

    def __init__(self, remote: RemoteFiles, options: CopyOptions, watcher: CopyWatcher) -> None:
        self.bytes = 0
        self._remote = remote
        self._options = options
        self._watcher = watcher
        self._umask = umask()
        self._patience = STALL_TIMEOUT if remote.timeout is None else remote.timeout

    async def run(self, source: bytes, found: FileStat, directory: LocalDirectory, name: bytes) -> None:
        """Copy a file.

        Args:
            source: the guest's path.
            found: what the guest says of it.
            directory: where to.
            name: its name there.

        Raises:
            LocalFileError: it cannot be written here.
            CopyFailed: it was broken on its way.
            GuestmuxError, RemoteError: it cannot be read there.
        """
        self._watcher.began(shown(source), found.size)
        try:
            if self._options.resume and await self._is_there(source, found, directory, name):
                self._watcher.moved(shown(source), found.size)
                return
            opening = partial(self._open, directory, name)
            part, existing = await in_thread(opening, lambda opened: opened[0].leave())
            await self._fill(source, found, part, existing)
        finally:
            self._watcher.ended(shown(source))

    def _open(self, directory: LocalDirectory, name: bytes) -> tuple[LocalPart, os.stat_result | None]:
        """The part, and what it is to replace. May block."""
        existing = directory.look_to_replace(name)
        return LocalPart.open(directory, name, keep=self._options.resume), existing

    async def _is_there(self, source: bytes, found: FileStat, directory: LocalDirectory, name: bytes) -> bool:
        """Whether an earlier copy that is now resumed has finished this file."""
        existing = await in_thread(partial(directory.look, name))
        if existing is None or not stat.S_ISREG(existing.st_mode):
            return False
        if existing.st_size != found.size:
            return False
        descriptor = await in_thread(partial(directory.open_file, name), os.close)
        try:
            length = found.size
            return await agreed(self._remote, source, partial(range_checksum, descriptor), length) == length
        finally:
            os.close(descriptor)

    async def _fill(
        self, source: bytes, found: FileStat, part: LocalPart, existing: os.stat_result | None
    ) -> None:
        """Write the part and make the file of it, or leave what is there."""
        try:
            offset = await self._resumed(source, found, part) if self._options.resume else 0
            self._watcher.moved(shown(source), offset)
            await self._receive_from(offset, source, found, part)
            await self._finish(part, found, existing)
        except ChecksumMismatch:
            await in_thread(part.discard)
            raise
        except BaseException:
            with anyio.CancelScope(shield=True):
                count = await in_thread(part.leave)
            if count:
                self._watcher.kept(shown(source), shown(part.path), count)
            raise

    async def _resumed(self, source: bytes, found: FileStat, part: LocalPart) -> int:
        length = await in_thread(lambda: part.length)
        offset = await agreed(self._remote, source, part.checksum, min(length, found.size))
        await in_thread(partial(part.truncate, offset))
        return offset

    async def _receive_from(self, offset: int, source: bytes, found: FileStat, part: LocalPart) -> None:
        if self._options.sparse and found.allocated < found.size:
            await self._receive_sparse(offset, source, found, part)
            await in_thread(partial(part.truncate, found.size))
        elif not found.size:
            # Maybe one of the kernel's, which have no size and something in them.
            await self._receive(source, None, part)
        elif offset < found.size:
            # No more than it was said to have: what grows, or is said to, does not fill our disk.
            await self._receive(source, [(offset, found.size - offset)], part)

    async def _receive_sparse(self, offset: int, source: bytes, found: FileStat, part: LocalPart) -> None:
        more = offset < found.size
        while more:
            ranges, more = await self._remote.ranges(source, offset)
            if more and not ranges:
                raise UnexpectedReply(f"{shown(source)}: the guest tells of no data, and says there is more")
            ranges = [
                (begin, min(length, found.size - begin)) for begin, length in ranges if begin < found.size
            ]
            end = sum(ranges[-1]) if ranges else found.size
            # What the guest tells of beyond the size that it told is nothing to go on with.
            more = more and end < found.size
            if ranges:
                await self._receive(source, ranges, part)
            self._watcher.moved(shown(source), (end if more else found.size) - offset - total(ranges))
            offset = end

    async def _receive(self, source: bytes, ranges: Sequence[Range] | None, part: LocalPart) -> None:
        checksum = self._options.checksum
        sink = RangeSink(part, ranges, checksum=checksum)
        async with await self._remote.download(source, ranges, checksum=checksum) as stream:
            async with FileWorker[None]() as worker:
                while pieces := await self._gather(source, stream):
                    await worker.start(partial(sink.put, pieces))
                    count = sum(len(piece) for piece in pieces)
                    self.bytes += count
                    self._watcher.moved(shown(source), count)
            said = read_as(Transferred, "guest-file-download", await stream.result())
        if said.bytes != sink.count or (ranges is not None and sink.count != total(ranges)):
            raise CopyFailed(
                f"{shown(source)}: {sink.count} bytes came, the guest says that it sent {said.bytes}"
            )
        if sink.checksum not in {None, said.blake2b}:
            raise ChecksumMismatch(f"{shown(source)}: what came is not what was sent; its checksum differs")

    async def _gather(self, source: bytes, stream: GuestStream) -> list[bytes]:
        """The next pieces, enough to be worth a write; none at the end."""
        pieces: list[bytes] = []
        count = 0
        while count < PIECE and len(pieces) < GATHERED:
            with anyio.move_on_after(self._patience) as patience:
                try:
                    piece = await stream.receive(PIECE)
                except anyio.EndOfStream:
                    break
            if patience.cancelled_caught:
                raise CallTimeout(f"{shown(source)}: nothing came for {self._patience:g} s")
            pieces.append(piece)
            count += len(piece)
        return pieces

    async def _finish(self, part: LocalPart, found: FileStat, existing: os.stat_result | None) -> None:
        mode = found.mode & PERMISSIONS & ~self._umask
        owner = None
        if existing is not None and stat.S_ISREG(existing.st_mode):
            mode, owner = existing.st_mode & PERMISSIONS, (existing.st_uid, existing.st_gid)
        if self._options.preserve:
            mode, owner = found.mode & PERMISSIONS, (found.uid, found.gid)
        await in_thread(
            partial(
                part.finish,
                mode=mode,
                nanoseconds=found.mtime_ns if self._options.preserve else None,
                owner=owner,
            )
        )
