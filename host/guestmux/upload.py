"""One file's way from this host to the guest."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import anyio

from guestmux.agreement import agreed
from guestmux.calling import read_as
from guestmux.copying import (
    PERMISSIONS,
    ChecksumMismatch,
    CopyFailed,
    CopyOptions,
    CopyWatcher,
    LocalFileError,
    joined,
    part_name,
    shown,
    total,
)
from guestmux.digest import new_digest
from guestmux.download import STALL_TIMEOUT
from guestmux.errors import CallTimeout, CommandFailed, GuestmuxError, RemoteError
from guestmux.file_worker import FileWorker, in_thread
from guestmux.guest_stream import GuestStream
from guestmux.local_directory import translated, umask
from guestmux.local_part import OWN_ONLY, range_checksum
from guestmux.local_ranges import Range, data_ranges
from guestmux.range_sink import RangeSource
from guestmux.remote_files import RemoteFiles
from guestmux_protocol.guest.file_facts import MAX_EXTENTS, FileStat
from guestmux_protocol.guest.transfer import Transferred

NEW_FILE = 0o666
"""The mode of a new file whose source has none, before the umask."""

REMOVE_TIMEOUT = 5.0
"""Seconds to remove what is of no use, when the copy has failed already."""

REPLACEABLE = {"file", "symlink"}
"""What a file may take the place of: not of a device that others use by its name."""

NOT_PERMITTED = "Operation not permitted"
"""What the guest says where its agent may not give files away (EPERM)."""


class Upload:
    """Copies files of this host.

    Args:
        remote: the guest's files.
        options: how.
        watcher: is told of it.

    Attributes:
        bytes: that went over the wire.
    """

    def __init__(self, remote: RemoteFiles, options: CopyOptions, watcher: CopyWatcher) -> None:
        self.bytes = 0
        self._remote = remote
        self._options = options
        self._watcher = watcher
        self._umask = umask()
        self._patience = STALL_TIMEOUT if remote.timeout is None else remote.timeout
        self._gives_away = True

    async def run(
        self,
        source: bytes,
        descriptor: int,
        target: bytes,
        existing: FileStat | None,
        *,
        is_alone: bool = False,
    ) -> None:
        """Copy a file.

        Args:
            source: its path here, for messages.
            descriptor: it, open.
            target: the guest's path.
            existing: what is there.
            is_alone: whether nobody else writes in its directory, because we made it.

        Raises:
            LocalFileError: it cannot be read here.
            CopyFailed: it was broken on its way.
            GuestmuxError, RemoteError: it cannot be written there.
        """
        _check_replaceable(target, existing)
        with translated(source):
            status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise LocalFileError(f"{shown(source)}: is no regular file any more")
        self._watcher.began(shown(source), status.st_size)
        try:
            one = _OneFile(source, descriptor, status.st_size, target, self._wanted(status, existing))
            one.is_alone = is_alone
            if await self._is_there(one, existing):
                self._watcher.moved(shown(source), status.st_size)
                return
            await self._fill(one)
        finally:
            self._watcher.ended(shown(source))

    async def pour(
        self, name: str, pieces: AsyncIterable[bytes], target: bytes, existing: FileStat | None
    ) -> None:
        """Make a file of what comes piece by piece. Nothing is left of a broken copy: nobody could go on with it.

        Args:
            name: of the source, for who watches.
            pieces: the content.
            target: the guest's path.
            existing: what is there.

        Raises:
            CopyFailed, GuestmuxError, RemoteError: as `run` does; and whatever `pieces` raises.
        """
        _check_replaceable(target, existing)
        one = _OneFile(os.fsencode(name), -1, 0, target, self._wanted(None, existing))
        self._watcher.began(name, None)
        try:
            await self._send_pieces(one, pieces)
            await self._finish(one)
        except BaseException:
            await self._give_up(one, useless=True)
            raise
        finally:
            self._watcher.ended(name)

    async def set_attributes(self, path: bytes, owner: tuple[int, int] | None, **others: Any) -> None:
        """Give attributes; the owner only where the agent may give files away."""
        if owner is not None and self._gives_away:
            try:
                await self._remote.set_attributes(path, uid=owner[0], gid=owner[1], **others)
            except CommandFailed as error:
                if NOT_PERMITTED not in error.desc:
                    raise
                self._gives_away = False
            else:
                return
        await self._remote.set_attributes(path, **others)

    async def _is_there(self, one: _OneFile, existing: FileStat | None) -> bool:
        """Whether an earlier copy that is now resumed has finished this file."""
        if not self._options.resume or existing is None or existing.type != "file":
            return False
        return existing.size == one.size and await self._agreed(one, one.target, one.size) == one.size

    async def _agreed(self, one: _OneFile, path: bytes, length: int) -> int:
        return await agreed(self._remote, path, one.checksum, length)

    async def _fill(self, one: _OneFile) -> None:
        """Write the part and make the file of it, or leave what is there."""
        try:
            await self._send_all(one)
            await self._finish(one)
        except BaseException as error:
            await self._give_up(one, useless=isinstance(error, ChecksumMismatch))
            raise

    async def _give_up(self, one: _OneFile, *, useless: bool) -> None:
        if one.sent and not useless:
            self._watcher.kept(shown(one.source), shown(one.part), one.sent)
        elif one.made:
            with anyio.move_on_after(REMOVE_TIMEOUT, shield=True):
                try:
                    await self._remote.remove(one.part)
                except (GuestmuxError, RemoteError):
                    # What went wrong before is what the caller is to see.
                    return

    async def _send_all(self, one: _OneFile) -> None:
        offset = await self._resumed(one) if self._options.resume else 0
        one.sent = offset
        self._watcher.moved(shown(one.source), offset)
        if not one.size:
            # Maybe one of the kernel's, which have no size and something in them.
            return await self._send(one, None, truncate=True)
        whole = [(offset, one.size - offset)] if offset < one.size else []
        ranges = one.ranges(offset) if self._options.sparse else iter(whole)
        truncate, more = not offset, True
        while more:
            batch = await in_thread(lambda: list(islice(ranges, MAX_EXTENTS)))
            more = len(batch) == MAX_EXTENTS
            one.end = sum(batch[-1]) if batch else offset
            end = one.end if more else one.size
            await self._send(one, batch, truncate=truncate)
            self._watcher.moved(shown(one.source), end - offset - total(batch))
            offset, truncate = end, False
        return None

    async def _resumed(self, one: _OneFile) -> int:
        found = await self._remote.look(one.part, follow=False)
        if found is None or found.type != "file":
            return 0
        offset = await self._agreed(one, one.part, min(found.size, one.size))
        if offset and offset < found.size:
            await self._remote.set_attributes(one.part, size=offset)
        return offset

    async def _send(self, one: _OneFile, ranges: Sequence[Range] | None, *, truncate: bool) -> None:
        reader = RangeSource(one.descriptor, one.source, ranges, checksum=self._options.checksum)
        async with await self._opened(one, ranges, truncate=truncate) as stream:
            await self._pump(one, reader, stream)
            said = await self._said(one, stream)
        _check(one, said, reader.count, reader.checksum)

    async def _send_pieces(self, one: _OneFile, pieces: AsyncIterable[bytes]) -> None:
        digest = new_digest()
        async with await self._opened(one, None, truncate=True) as stream:
            async for piece in pieces:
                digest.update(piece)
                await self._send_piece(one, stream, piece)
            said = await self._said(one, stream)
        _check(one, said, one.sent, digest.hexdigest() if self._options.checksum else None)

    async def _opened(self, one: _OneFile, ranges: Sequence[Range] | None, *, truncate: bool) -> GuestStream:
        mode = one.wanted.mode if one.wanted.is_open else OWN_ONLY
        checksum = self._options.checksum
        stream = await self._remote.upload(one.part, ranges, mode=mode, truncate=truncate, checksum=checksum)
        one.made = True
        one.opened = read_as(FileStat, "guest-file-upload", stream.reply)
        return stream

    async def _said(self, one: _OneFile, stream: GuestStream) -> Transferred:
        """Say that this is all, and give what the guest says of it."""
        await stream.send_eof()
        with anyio.move_on_after(self._patience) as patience:
            said = read_as(Transferred, "guest-file-upload", await stream.result())
        if patience.cancelled_caught:
            raise self._stalled(one)
        return said

    async def _pump(self, one: _OneFile, reader: RangeSource, stream: GuestStream) -> None:
        async with FileWorker[bytes]() as worker:
            if not reader.at_end:
                await worker.start(reader.read)
            while piece := await worker.wait():
                if not reader.at_end:
                    await worker.start(reader.read)
                await self._send_piece(one, stream, piece)

    async def _send_piece(self, one: _OneFile, stream: GuestStream, piece: bytes) -> None:
        with anyio.move_on_after(self._patience) as patience:
            await stream.send(piece)
        if patience.cancelled_caught:
            raise self._stalled(one)
        one.sent += len(piece)
        self.bytes += len(piece)
        self._watcher.moved(shown(one.source), len(piece))

    def _stalled(self, one: _OneFile) -> CallTimeout:
        return CallTimeout(f"{shown(one.source)}: the guest took nothing for {self._patience:g} s")

    def _wanted(self, status: os.stat_result | None, existing: FileStat | None) -> _Wanted:
        """The attributes that the file is to have in the end."""
        if self._options.preserve and status is not None:
            owner = status.st_uid, status.st_gid
            return _Wanted(status.st_mode & PERMISSIONS, owner, status.st_mtime_ns)
        if existing is not None and existing.type == "file":
            return _Wanted(existing.mode & PERMISSIONS, (existing.uid, existing.gid))
        mode = NEW_FILE if status is None else status.st_mode & PERMISSIONS
        return _Wanted(mode & ~self._umask, is_open=True)

    async def _finish(self, one: _OneFile) -> None:
        """Give the part its attributes, and its name in place of what had it."""
        wanted, opened = one.wanted, one.opened
        assert opened is not None
        owner = None if wanted.owner == (opened.uid, opened.gid) else wanted.owner
        mode = None if wanted.mode == opened.mode else wanted.mode
        # The last bytes may be a hole, which nobody wrote.
        size = one.size if one.end < one.size else None
        await self.set_attributes(one.part, owner, size=size, mode=mode, mtime_ns=wanted.nanoseconds)
        if not one.is_alone:
            await self._check_place(one, opened)
        await self._remote.rename(one.part, one.target)

    async def _check_place(self, one: _OneFile, opened: FileStat) -> None:
        """Two copies to one target must not make one file."""
        found = await self._remote.look(one.part, follow=False)
        is_ours = (
            found is not None
            and (found.device, found.inode) == (opened.device, opened.inode)
            and (found.size == one.size or not one.size)
        )
        if not is_ours:
            raise CopyFailed(f"{shown(one.part)}: somebody took it away while it was written")


@dataclass(frozen=True)
class _Wanted:
    """Attributes of a file.

    Attributes:
        mode: permissions.
        owner: uid and gid; None where it does not matter.
        nanoseconds: time of modification; None for now.
        is_open: whether it may have the mode from its beginning on, as what cp(1) makes.
    """

    mode: int
    owner: tuple[int, int] | None = None
    nanoseconds: int | None = None
    is_open: bool = False


class _OneFile:
    """A file that is sent.

    Attributes:
        source: its path here.
        descriptor: it, open.
        size: its bytes.
        target: its path in the guest.
        part: where it is written.
        wanted: the attributes that it is to have.
        sent: bytes of the part, as far as we know.
        end: where in the part the last data is.
        is_alone: whether nobody else can write the part.
        made: whether there is a part.
        opened: the part as the guest opened it.
    """

    def __init__(self, source: bytes, descriptor: int, size: int, target: bytes, wanted: _Wanted) -> None:
        directory, _, name = target.rpartition(b"/")
        self.source = source
        self.descriptor = descriptor
        self.size = size
        self.target = target
        self.part = joined(directory or b"/", part_name(name))
        self.wanted = wanted
        self.sent = 0
        self.end = 0
        self.is_alone = False
        self.made = False
        self.opened: FileStat | None = None

    def checksum(self, offset: int, length: int) -> str:
        """blake2b of a range. May block."""
        with translated(self.source):
            return range_checksum(self.descriptor, offset, length)

    def ranges(self, begin: int) -> Iterator[Range]:
        """Where it has data. May block."""
        with translated(self.source):
            yield from data_ranges(self.descriptor, begin, self.size)


def _check_replaceable(target: bytes, existing: FileStat | None) -> None:
    if existing is not None and existing.type not in REPLACEABLE:
        raise CopyFailed(f"{shown(target)}: is there in the guest, a {existing.type} and no file")


def _check(one: _OneFile, said: Transferred, count: int, checksum: str | None) -> None:
    """Whether all arrived, and as it was."""
    if said.bytes != count:
        raise CopyFailed(f"{shown(one.source)}: {count} bytes were sent, {said.bytes} came")
    if checksum not in {None, said.blake2b}:
        raise ChecksumMismatch(f"{shown(one.source)}: what came is not what was sent; its checksum differs")
