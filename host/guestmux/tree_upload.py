"""A directory's way from this host to the guest."""

from __future__ import annotations

import os
import stat
from functools import partial

from guestmux.copying import (
    PERMISSIONS,
    CopyFailed,
    CopyOptions,
    CopyReport,
    CopyWatcher,
    LocalFileError,
    is_part,
    joined,
    part_name,
    shown,
)
from guestmux.errors import GuestmuxError, RemoteError
from guestmux.file_worker import in_thread
from guestmux.local_directory import OWN_ONLY, LocalDirectory, umask
from guestmux.remote_files import RemoteFiles
from guestmux.tree_copy import Names, TreeCopy
from guestmux.tree_download import PART
from guestmux.upload import Upload
from guestmux_protocol.guest.file_facts import FileStat

LOOKED_AT = 256
"""Files of a directory that are looked at by one thread at once."""

KINDS = {
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class TreeUpload(TreeCopy):
    """See TreeCopy.

    Args:
        remote: the guest's files.
        source: the directory's path here, for messages.
        root: it, open.
        target: its path in the guest.
        options: how.
        watcher: is told of it.
        report: what was done is added to it.
    """

    def __init__(
        self,
        remote: RemoteFiles,
        source: bytes,
        root: LocalDirectory,
        target: bytes,
        options: CopyOptions,
        watcher: CopyWatcher,
        report: CopyReport,
    ) -> None:
        super().__init__(options, watcher, report)
        self._remote = remote
        self._source = source
        self._root = root
        self._target = target
        self._upload = Upload(remote, options, watcher)
        self._umask = umask()
        self._made: list[tuple[Names, os.stat_result, bool]] = []
        self._new: set[Names] = set()

    def source(self, names: Names) -> bytes:
        """The path here."""
        return b"/".join([self._source.rstrip(b"/"), *names]) or b"/"

    def _path(self, names: Names) -> bytes:
        return b"/".join([self._target.rstrip(b"/"), *names]) or b"/"

    async def _visit(self, names: Names) -> None:
        with await in_thread(partial(self._root.descend, names), LocalDirectory.close) as directory:
            status = os.fstat(directory.descriptor)
            # What is in a directory that was not there needs no look.
            made = await self._make(names)
            self._made.append((names, status, made))
            self._report.directories += 1
            directories: list[Names] = []
            inside = await in_thread(directory.names)
            for begin in range(0, len(inside), LOOKED_AT):
                some = inside[begin : begin + LOOKED_AT]
                for name, found in zip(
                    some, await in_thread(partial(directory.look_at_all, some)), strict=True
                ):
                    await self._take((*names, name), found, made, directories)
        self._note_directories(directories)

    async def _make(self, names: Names) -> bool:
        path = self._path(names)
        is_new = bool(names) and names[:-1] in self._new
        # Only a link that the user names himself is followed.
        existing = None if is_new else await self._remote.look(path, follow=not names)
        if existing is not None and existing.type != "directory":
            raise CopyFailed(f"{shown(path)}: is there in the guest, and is no directory")
        if existing is None:
            await self._remote.make_directory(path, OWN_ONLY)
            self._new.add(names)
        return existing is None

    async def _take(
        self,
        names: Names,
        status: os.stat_result | LocalFileError | None,
        is_new: bool,
        directories: list[Names],
    ) -> None:
        if status is None:
            return None
        if isinstance(status, LocalFileError):
            return self._fail(names, status)
        if is_part(names[-1]):
            return self._skip(names, PART)
        match stat.S_IFMT(status.st_mode):
            case stat.S_IFDIR:
                directories.append(names)
            case stat.S_IFREG:
                await self._start(partial(self._copy_file, is_new=is_new), names)
            case stat.S_IFLNK:
                await self._tried(partial(self._copy_link, status=status, is_new=is_new), names)
            case kind:
                self._skip(names, KINDS.get(kind, "no file"))
        return None

    async def _copy_file(self, names: Names, *, is_new: bool) -> None:
        path = self._path(names)
        existing = None if is_new else await self._remote.look(path, follow=False)
        descriptor = await in_thread(partial(self._open, names), os.close)
        try:
            await self._upload.run(self.source(names), descriptor, path, existing, is_alone=is_new)
        finally:
            os.close(descriptor)
        self._report.files += 1

    def _open(self, names: Names) -> int:
        with self._root.descend(names[:-1]) as directory:
            return directory.open_file(names[-1])

    async def _copy_link(self, names: Names, *, status: os.stat_result, is_new: bool) -> None:
        path = self._path(names)
        target = await in_thread(partial(self._read_link, names))
        existing: FileStat | None = None if is_new else await self._remote.look(path, follow=False)
        if existing is None:
            await self._remote.make_symlink(path, target)
        else:
            await self._replace_link(path, target)
        if self._options.preserve:
            owner = status.st_uid, status.st_gid
            await self._upload.set_attributes(path, owner, mtime_ns=status.st_mtime_ns, follow=False)
        self._report.symlinks += 1

    async def _replace_link(self, path: bytes, target: bytes) -> None:
        directory, _, name = path.rpartition(b"/")
        passing = joined(directory or b"/", part_name(name))
        if await self._remote.look(passing, follow=False) is not None:
            await self._remote.remove(passing)
        await self._remote.make_symlink(passing, target)
        await self._remote.rename(passing, path)

    def _read_link(self, names: Names) -> bytes:
        with self._root.descend(names[:-1]) as directory:
            return directory.read_link(names[-1])

    async def _close(self) -> None:
        self._report.bytes += self._upload.bytes
        for names, status, made in reversed(self._made):
            if self._fatal is not None:
                return
            if made or self._options.preserve:
                try:
                    await self._close_directory(names, status)
                except (GuestmuxError, RemoteError) as error:
                    self._fail(names, error)

    async def _close_directory(self, names: Names, status: os.stat_result) -> None:
        mode, owner, time = status.st_mode & PERMISSIONS & ~self._umask, None, None
        if self._options.preserve:
            mode, time = status.st_mode & PERMISSIONS, status.st_mtime_ns
            owner = status.st_uid, status.st_gid
        await self._upload.set_attributes(self._path(names), owner, mode=mode, mtime_ns=time)
