"""A directory's way from the guest to this host. Every name in it is the guest's, who may mean harm."""

from __future__ import annotations

from functools import partial

from guestmux.copying import (
    PERMISSIONS,
    CopyOptions,
    CopyReport,
    CopyWatcher,
    is_part,
)
from guestmux.download import Download
from guestmux.errors import GuestmuxError
from guestmux.file_worker import in_thread
from guestmux.local_directory import LocalDirectory, checked_name, umask
from guestmux.remote_files import RemoteFiles, entry_name, link_target
from guestmux.tree_copy import Names, TreeCopy
from guestmux_protocol.guest.file_facts import FileEntry, FileStat

PART = "the part of another copy"


class TreeDownload(TreeCopy):
    """See TreeCopy.

    Args:
        remote: the guest's files.
        source: the guest's directory.
        found: what the guest says of it.
        root: the directory of this host that it is made in.
        name: its name there.
        options: how.
        watcher: is told of it.
        report: what was done is added to it.
    """

    def __init__(
        self,
        remote: RemoteFiles,
        source: bytes,
        found: FileStat,
        root: LocalDirectory,
        name: bytes,
        options: CopyOptions,
        watcher: CopyWatcher,
        report: CopyReport,
    ) -> None:
        super().__init__(options, watcher, report)
        self._remote = remote
        self._source = source
        self._root = root
        self._name = name
        self._download = Download(remote, options, watcher)
        self._umask = umask()
        self._found: dict[Names, FileStat | FileEntry] = {(): found}
        self._made: list[tuple[Names, FileStat | FileEntry, bool]] = []

    def source(self, names: Names) -> bytes:
        """The path in the guest."""
        return b"/".join([self._source.rstrip(b"/") or b"", *names]) or b"/"

    async def _visit(self, names: Names) -> None:
        found = self._found.pop(names)
        made = await in_thread(partial(self._make, names))
        self._made.append((names, found, made))
        self._report.directories += 1
        directories: list[Names] = []
        async for untrusted_entry in self._remote.entries(self.source(names)):
            await self._take(names, untrusted_entry, directories)
        self._note_directories(directories)

    def _make(self, names: Names) -> bool:
        *above, name = self._below(names)
        with self._root.descend(above) as directory:
            return directory.make_directory(name)

    def _below(self, names: Names) -> Names:
        return (self._name, *names) if self._name else names or (b".",)

    async def _take(self, above: Names, untrusted_entry: FileEntry, directories: list[Names]) -> None:
        try:
            name = checked_name(entry_name(untrusted_entry))
        except GuestmuxError as error:
            return self._fail(above, error)
        names, entry = (*above, name), untrusted_entry
        if is_part(name):
            return self._skip(names, PART)
        match entry.type:
            case "directory":
                self._found[names] = entry
                directories.append(names)
            case "file":
                self._found[names] = entry
                await self._start(self._copy_file, names)
            case "symlink":
                self._found[names] = entry
                await self._tried(self._copy_link, names)
            case _:
                self._skip(names, f"a {entry.type}")
        return None

    async def _copy_file(self, names: Names) -> None:
        found = self._found.pop(names)
        *above, name = self._below(names)
        with await in_thread(partial(self._root.descend, above), LocalDirectory.close) as directory:
            await self._download.run(self.source(names), found, directory, name)
        self._report.files += 1

    async def _copy_link(self, names: Names) -> None:
        found = self._found.pop(names)
        target = link_target(found)
        await in_thread(partial(self._make_link, names, found, target))
        self._report.symlinks += 1

    def _make_link(self, names: Names, found: FileStat | FileEntry, target: bytes) -> None:
        *above, name = self._below(names)
        with self._root.descend(above) as directory:
            directory.make_symlink(name, target)
            if self._options.preserve:
                directory.set_times(name, found.mtime_ns, (found.uid, found.gid))

    async def _close(self) -> None:
        self._report.bytes += self._download.bytes
        await in_thread(self._close_directories)

    def _close_directories(self) -> None:
        for names, found, made in reversed(self._made):
            try:
                self._close_directory(names, found, made=made)
            except GuestmuxError as error:
                self._fail(names, error)

    def _close_directory(self, names: Names, found: FileStat | FileEntry, *, made: bool) -> None:
        if not made and not self._options.preserve:
            return
        with self._root.descend(self._below(names)) as directory:
            if self._options.preserve:
                directory.set_attributes(found.mode & PERMISSIONS, found.mtime_ns, (found.uid, found.gid))
            else:
                directory.set_attributes(found.mode & PERMISSIONS & ~self._umask, None, None)
