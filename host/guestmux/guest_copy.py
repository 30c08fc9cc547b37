"""One copy as it is asked for: where it goes to, and which way it takes."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import AsyncIterable
from functools import partial
from pathlib import Path
from typing import Final, Literal

from guestmux.copying import (
    CopyFailed,
    CopyIncomplete,
    CopyOptions,
    CopyReport,
    CopyWatcher,
    LocalFileError,
    joined,
    shown,
)
from guestmux.download import Download
from guestmux.errors import CommandDisabled, CommandFailed, CommandNotFound, NoStreams
from guestmux.file_calls import FileCalls
from guestmux.file_worker import in_thread
from guestmux.handle_copy import IS_DIRECTORY, HandleCopy
from guestmux.local_directory import LocalDirectory, translated
from guestmux.remote_files import RemoteFiles
from guestmux.tree_download import TreeDownload
from guestmux.tree_upload import TreeUpload
from guestmux.upload import Upload
from guestmux_protocol.guest.file_facts import FileStat

ONE_BY_ONE = (
    "this guest can copy files only one by one, no directories: that needs guestmux's agents, and a qmp port"
)

UNKNOWN: Final = "unknown"
"""What a guest with a stock qemu-ga says of a file."""

NAMELESS = {b"", b".", b".."}
"""Last names of paths that are no names: what is copied has none of its own then."""


class GuestCopy:
    """A copy from a guest or to it. Used once.

    Args:
        guest: which.
        remote: its files.
        options: how.
        watcher: is told of it.
    """

    def __init__(
        self, guest: FileCalls, remote: RemoteFiles, options: CopyOptions, watcher: CopyWatcher
    ) -> None:
        self._guest = guest
        self._remote = remote
        self._options = options
        self._watcher = watcher
        self._report = CopyReport()

    async def download(self, source: bytes, target: bytes) -> CopyReport:
        """Copy a file or directory of the guest to this host; see `Guest.download`."""
        found = await self._stat(source)
        if found is not None and found.type == "directory":
            await self._download_tree(source, found, target)
        else:
            await self._download_file(source, found, target)
        return self._checked()

    async def upload(self, source: bytes, target: bytes) -> CopyReport:
        """Copy a file or directory of this host to the guest; see `Guest.upload`."""
        with translated(source):
            status = await in_thread(partial(os.stat, source))
        if stat.S_ISDIR(status.st_mode):
            await self._upload_tree(source, target)
        elif stat.S_ISREG(status.st_mode):
            await self._upload_file(source, target)
        else:
            raise LocalFileError(f"{shown(source)}: is neither a file nor a directory")
        return self._checked()

    async def pour(self, name: str, pieces: AsyncIterable[bytes], target: bytes) -> CopyReport:
        """Make a file in the guest of what comes piece by piece; see `Guest.upload`."""
        if not self._guest.has_streams:
            raise NoStreams("what has no size is copied only where the port carries streams")
        existing = await self._remote.look(target)
        if existing is not None and existing.type == "directory":
            raise CopyFailed(
                f"{shown(target)}: is a directory, and what comes has no name that it could get there"
            )
        upload = Upload(self._remote, self._options, self._watcher)
        await upload.pour(name, pieces, await self._remote.followed(target), existing)
        self._report.files, self._report.bytes = 1, upload.bytes
        return self._report

    def _checked(self) -> CopyReport:
        if self._report.failed:
            raise CopyIncomplete(self._report)
        return self._report

    async def _stat(self, path: bytes) -> FileStat | None:
        """What is called so in the guest; None where the guest cannot tell, or carries no streams."""
        if not self._guest.has_streams:
            return None
        try:
            return await self._remote.stat(path)
        except CommandDisabled:
            raise
        except CommandNotFound:
            return None

    async def _download_file(self, source: bytes, found: FileStat | None, target: bytes) -> None:
        directory, name = await in_thread(
            partial(self._place, target, posixpath.basename(source)), _close_place
        )
        with directory:
            if found is not None and found.type == "file":
                download = Download(self._remote, self._options, self._watcher)
                await download.run(source, found, directory, name)
                self._report.bytes += download.bytes
            else:
                await self._download_by_handle(source, directory, name)
        self._report.files += 1

    async def _download_by_handle(self, source: bytes, directory: LocalDirectory, name: bytes) -> None:
        copy = self._handle_copy(source)
        try:
            await copy.download(source, directory, name)
        except CommandFailed as error:
            if IS_DIRECTORY in error.desc and self._options.recursive:
                raise CopyFailed(f"{shown(source)}: {ONE_BY_ONE}") from error
            raise
        self._report.bytes += copy.bytes

    def _handle_copy(self, source: bytes) -> HandleCopy:
        if self._options.preserve or self._options.resume:
            self._watcher.noted(f"{shown(source)}: without streams nothing is preserved or resumed")
        return HandleCopy(self._guest, self._remote, self._watcher)

    async def _download_tree(self, source: bytes, found: FileStat, target: bytes) -> None:
        if not self._options.recursive:
            raise CopyFailed(f"{shown(source)}: is a directory, which only a recursive copy copies")
        name = posixpath.basename(source.rstrip(b"/"))
        name = b"" if name in NAMELESS else name
        root, name = await in_thread(partial(self._tree_place, target, name), _close_place)
        with root:
            await TreeDownload(
                self._remote, source, found, root, name, self._options, self._watcher, self._report
            ).run()

    async def _upload_file(self, source: bytes, target: bytes) -> None:
        with translated(source):
            descriptor = await in_thread(partial(os.open, source, os.O_RDONLY | os.O_CLOEXEC), os.close)
        try:
            await self._upload_open(source, descriptor, target)
        finally:
            os.close(descriptor)
        self._report.files += 1

    async def _upload_open(self, source: bytes, descriptor: int, target: bytes) -> None:
        into = self._options.into or target.endswith(b"/")
        found = await self._look(target)
        if found == UNKNOWN or (isinstance(found, FileStat) and found.type not in {"file", "directory"}):
            size = os.fstat(descriptor).st_size
            copy = self._handle_copy(source)
            await copy.upload(source, descriptor, size, target, into=into)
            self._report.bytes += copy.bytes
            return
        existing = found if isinstance(found, FileStat) else None
        is_directory = existing is not None and existing.type == "directory"
        if into and not is_directory:
            raise CopyFailed(f"{shown(target)}: is no directory in the guest")
        path = target if is_directory else await self._remote.followed(target)
        if is_directory:
            path = joined(target, posixpath.basename(source))
            existing = await self._remote.look(path, follow=False)
        upload = Upload(self._remote, self._options, self._watcher)
        await upload.run(source, descriptor, path, existing)
        self._report.bytes += upload.bytes

    async def _upload_tree(self, source: bytes, target: bytes) -> None:
        if not self._options.recursive:
            raise CopyFailed(f"{shown(source)}: is a directory, which only a recursive copy copies")
        if not self._guest.has_streams:
            raise CopyFailed(f"{shown(source)}: {ONE_BY_ONE}")
        try:
            existing = await self._remote.look(target)
        except CommandNotFound as error:
            if isinstance(error, CommandDisabled):
                raise
            raise CopyFailed(f"{shown(source)}: {ONE_BY_ONE}") from error
        if self._options.into and (existing is None or existing.type != "directory"):
            raise CopyFailed(f"{shown(target)}: is no directory in the guest")
        name = posixpath.basename(source.rstrip(b"/"))
        if existing is not None and name not in NAMELESS:
            target = joined(target, name)
        root = await in_thread(partial(LocalDirectory.open, source), LocalDirectory.close)
        with root:
            await TreeUpload(
                self._remote, source, root, target, self._options, self._watcher, self._report
            ).run()

    async def _look(self, path: bytes) -> FileStat | Literal["unknown"] | None:
        """What is called so in the guest, where the guest can tell."""
        if not self._guest.has_streams:
            return UNKNOWN
        try:
            return await self._remote.look(path)
        except CommandDisabled:
            raise
        except CommandNotFound:
            return UNKNOWN

    def _place(self, target: bytes, name: bytes) -> tuple[LocalDirectory, bytes]:
        """The directory, open, and the name in it; a link that the user names himself is followed. May block."""
        if _is_directory(target):
            if name in NAMELESS:
                raise CopyFailed("the source has no name that the file in this directory could get")
            return LocalDirectory.open(target), name
        if self._options.into or target.endswith(b"/"):
            raise LocalFileError(f"{shown(target)}: is no directory")
        if Path(os.fsdecode(target)).is_symlink():
            target = os.path.realpath(target)
        directory, name = posixpath.split(target)
        return LocalDirectory.open(directory), name

    def _tree_place(self, target: bytes, name: bytes) -> tuple[LocalDirectory, bytes]:
        """The same for a directory: into one that is there, or as one that is not. May block."""
        if _is_directory(target):
            return LocalDirectory.open(target), name
        if self._options.into:
            raise LocalFileError(f"{shown(target)}: is no directory")
        directory, name = posixpath.split(target.rstrip(b"/"))
        return LocalDirectory.open(directory), name


def _close_place(place: tuple[LocalDirectory, bytes]) -> None:
    place[0].close()


def _is_directory(path: bytes) -> bool:
    return Path(os.fsdecode(path)).is_dir()
