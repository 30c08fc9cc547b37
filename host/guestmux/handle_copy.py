"""A file's way by qemu-ga's handles: where the port carries no streams, or what is copied is no regular file."""

from __future__ import annotations

import posixpath
from functools import partial

from guestmux.copying import CopyFailed, CopyWatcher, shown
from guestmux.errors import CommandFailed
from guestmux.file import GuestFile
from guestmux.file_calls import FileCalls
from guestmux.file_worker import FileWorker, in_thread
from guestmux.local_directory import LocalDirectory, umask
from guestmux.local_part import LocalPart
from guestmux.range_sink import RangeSource
from guestmux.remote_files import RemoteFiles

IS_DIRECTORY = "Is a directory"
"""What the guest says of one that is opened as a file (EISDIR)."""

NEW_FILE = 0o666
"""The mode of a new file, before the umask: the guest does not tell that of its own."""


class HandleCopy:
    """Copies single files, in the guest in place.

    Args:
        guest: opens them.
        remote: which agent.
        watcher: is told of it.

    Attributes:
        bytes: that went over the wire.
    """

    def __init__(self, guest: FileCalls, remote: RemoteFiles, watcher: CopyWatcher) -> None:
        self.bytes = 0
        self._guest = guest
        self._remote = remote
        self._watcher = watcher

    async def download(self, source: bytes, directory: LocalDirectory, name: bytes) -> None:
        """Copy a file of the guest.

        Raises:
            LocalFileError: it cannot be written here.
            GuestmuxError, RemoteError: it cannot be read there.
        """
        async with await self._open(source, "r") as file:
            self._watcher.began(shown(source), await file.size())
            try:
                await self._receive(source, file, directory, name)
            finally:
                self._watcher.ended(shown(source))

    async def _receive(self, source: bytes, file: GuestFile, directory: LocalDirectory, name: bytes) -> None:
        existing = await in_thread(partial(directory.look_to_replace, name))
        opening = partial(LocalPart.open, directory, name, keep=False)
        part = await in_thread(opening, LocalPart.discard)
        try:
            count = 0
            async with FileWorker[None]() as worker:
                async for piece in file:
                    await worker.start(partial(part.write, count, [piece]))
                    count += len(piece)
                    self.bytes += len(piece)
                    self._watcher.moved(shown(source), len(piece))
            mode = NEW_FILE & ~umask() if existing is None else existing.st_mode & 0o777
            await in_thread(partial(part.finish, mode=mode))
        except BaseException:
            await in_thread(part.discard)
            raise

    async def upload(self, source: bytes, descriptor: int, size: int, target: bytes, *, into: bool) -> None:
        """Copy an open file of this host; into the target where that is a directory, or is said to be one.

        Raises:
            LocalFileError: it cannot be read here.
            GuestmuxError, RemoteError: it cannot be written there.
        """
        file = await self._open_target(posixpath.basename(source), target, into=into)
        self._watcher.began(shown(source), size)
        sent, complete = self.bytes, False
        try:
            async with file:
                await self._send(source, descriptor, file)
            complete = True
        finally:
            self._watcher.ended(shown(source))
            if not complete:
                count = self.bytes - sent
                self._watcher.noted(
                    f":{file.path} in the guest is incomplete: {count} bytes of {shown(source)} were written"
                )

    async def _send(self, source: bytes, descriptor: int, file: GuestFile) -> None:
        reader = RangeSource(descriptor, source, None, checksum=False)
        async with FileWorker[bytes]() as worker:
            await worker.start(reader.read)
            while piece := await worker.wait():
                await worker.start(reader.read)
                left = memoryview(piece)
                while left:
                    count = await file.write_some(left)
                    left = left[count:]
                    self.bytes += count
                    self._watcher.moved(shown(source), count)

    async def _open_target(self, name: bytes, target: bytes, *, into: bool) -> GuestFile:
        inside = posixpath.join(target, name)
        if into or target.endswith(b"/"):
            return await self._open(inside, "w")
        try:
            return await self._open(target, "w")
        except CommandFailed as error:
            if IS_DIRECTORY not in error.desc:
                raise
            return await self._open(inside, "w")

    async def _open(self, path: bytes, mode: str) -> GuestFile:
        remote = self._remote
        try:
            text = path.decode()
        except UnicodeDecodeError as error:
            raise CopyFailed(f"{shown(path)}: this guest takes no name that is no UTF-8") from error
        return await self._guest.open_file(
            text, mode, session=remote.session, wait=remote.wait, timeout=remote.timeout
        )
