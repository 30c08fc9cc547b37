"""Copies between this host and the guest."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable

from guestmux.copying import CopyOptions, CopyReport, CopyWatcher
from guestmux.file_calls import FileCalls
from guestmux.guest_copy import GuestCopy
from guestmux.remote_files import RemoteFiles


class TransferCalls(FileCalls):
    """Copies files and directories, both ways."""

    async def download(
        self,
        path: str | bytes,
        local: str | bytes | os.PathLike[str],
        *,
        recursive: bool = False,
        preserve: bool = False,
        resume: bool = False,
        checksum: bool = True,
        sparse: bool = True,
        into: bool = False,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        watcher: CopyWatcher | None = None,
    ) -> CopyReport:
        """Copy a file or a directory of the guest to this host.

        A file is written beside its place as `.NAME.guestmux-part`, and gets its name when it is whole. When the copy
        fails, or is cancelled, the part is left for one with `resume`.

        Args:
            path: full path in the guest.
            local: the copy's path here; where that is a directory, the copy is made in it.
            recursive: copy directories as well, with what is in them; symbolic links are copied as such.
            preserve: keep permissions (no setuid and the like) and times, and numeric owners where we are root.
            resume: go on with what an earlier copy left, as far as the checksums of both ends agree; files that are
                whole are not sent again.
            checksum: compare checksums of what was sent and what came.
            sparse: do not send holes, and keep them.
            into: `local` must be a directory; else it may be one, or the copy's own path.
            session: whose agent reads: a logind id, `active` or `user:NAME`.
            wait: seconds to wait for that agent to register.
            timeout: seconds for each call, and in which at least a byte must move; 30 and 60 by default.
            watcher: is told how it goes.

        Raises:
            LocalFileError: a file of this host cannot be written.
            ChecksumMismatch: what came is not what was sent; it was thrown away.
            CopyIncomplete: of a directory some files were not copied, all others were; its `report` says which.
            CopyFailed: it cannot be copied otherwise; parent of the two above.
            GuestmuxError, RemoteError: as for `call`.
        """
        options = CopyOptions(recursive, preserve, resume, checksum, sparse, into)
        copy = GuestCopy(self, RemoteFiles(self, session, wait, timeout), options, watcher or CopyWatcher())
        return await copy.download(os.fsencode(path), os.fsencode(local))

    async def upload(
        self,
        local: str | bytes | os.PathLike[str] | AsyncIterable[bytes],
        path: str | bytes,
        *,
        recursive: bool = False,
        preserve: bool = False,
        resume: bool = False,
        checksum: bool = True,
        sparse: bool = True,
        into: bool = False,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        watcher: CopyWatcher | None = None,
    ) -> CopyReport:
        """Copy a file or a directory of this host to the guest, as `download` does the other way.

        Args:
            local: path here; or the content of one file, piece by piece, as any of anyio's byte streams gives it. Of a
                broken copy of these nothing is left.
            path: the copy's full path in the guest; where that is a directory, the copy is made in it.
            recursive: see `download`; so are all below.
            preserve: the owner is kept where the guest's agent is root.
            resume: see `download`.
            checksum: see `download`.
            sparse: see `download`.
            into: `path` must be a directory.
            session: whose agent writes.
            wait: see `download`.
            timeout: see `download`.
            watcher: see `download`.

        Raises:
            LocalFileError: a file of this host cannot be read.
            CopyFailed: see `download`.
            GuestmuxError, RemoteError: as for `call`.
        """
        options = CopyOptions(recursive, preserve, resume, checksum, sparse, into)
        copy = GuestCopy(self, RemoteFiles(self, session, wait, timeout), options, watcher or CopyWatcher())
        if isinstance(local, AsyncIterable):
            return await copy.pour("-", local, os.fsencode(path))
        return await copy.upload(os.fsencode(local), os.fsencode(path))
