"""A file of this host while it is copied: beside its place, under a name of its own, and renamed when it is whole."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Sequence

from guestmux.copying import CopyFailed, LocalFileError, joined, part_name, shown
from guestmux.digest import new_digest
from guestmux.local_directory import LocalDirectory, set_attributes, translated

OWN_ONLY = 0o600
"""The mode of an unfinished file: whose it will be is said at its end."""

READ_BYTES = 1024 * 1024
"""Bytes of one read for a checksum."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class LocalPart:
    """An unfinished file. All methods may block, and raise LocalFileError.

    What it has was written from its beginning on, without a gap, so its length says how far the copy came.
    Made by `open`; ends with `finish`, `leave` or `discard`.
    """

    def __init__(self, directory: LocalDirectory, name: bytes, descriptor: int) -> None:
        self._directory = directory
        self._name = name
        self._part = part_name(name)
        self._descriptor = descriptor
        self.path = joined(directory.path, self._part)

    @classmethod
    def open(cls, directory: LocalDirectory, name: bytes, *, keep: bool) -> LocalPart:
        """Open the part of the file `name`, and lock it.

        Args:
            directory: where the file is to be.
            name: its name there.
            keep: keep what an earlier copy left, instead of beginning anew.

        Raises:
            CopyFailed: another copy is writing it.
        """
        path = joined(directory.path, part_name(name))
        while True:
            with translated(path):
                descriptor = os.open(part_name(name), _FLAGS, OWN_ONLY, dir_fd=directory.descriptor)
            part = cls(directory, name, descriptor)
            try:
                part._lock()
                if part._is_in_place():
                    part._check()
                    if not keep:
                        part.truncate(0)
                    return part
            except BaseException:
                os.close(descriptor)
                raise
            # The copy that had it was finished between our opening and our locking.
            os.close(descriptor)

    @property
    def length(self) -> int:
        """Bytes that are there."""
        with translated(self.path):
            return os.fstat(self._descriptor).st_size

    def write(self, offset: int, pieces: Sequence[bytes | memoryview]) -> None:
        """Write some pieces, one after the other, at a place."""
        left = [memoryview(piece) for piece in pieces]
        with translated(self.path):
            while left:
                written = os.pwritev(self._descriptor, left, offset)
                offset += written
                while left and written >= len(left[0]):
                    written -= len(left.pop(0))
                if left:
                    left[0] = left[0][written:]

    def checksum(self, offset: int, length: int) -> str:
        """blake2b of a range."""
        with translated(self.path):
            return range_checksum(self._descriptor, offset, length)

    def truncate(self, size: int) -> None:
        """Give it a size: what is over is cut off, what is missing is a hole."""
        with translated(self.path):
            os.ftruncate(self._descriptor, size)

    def finish(
        self, *, mode: int | None, nanoseconds: int | None = None, owner: tuple[int, int] | None = None
    ) -> None:
        """It is whole: give it its attributes, and its name in place of what had it.

        Args:
            mode: permission bits.
            nanoseconds: time of modification; now where None.
            owner: uid and gid, given where we may.
        """
        with translated(self.path):
            set_attributes(self._descriptor, mode, nanoseconds, owner)
        with translated(joined(self._directory.path, self._name)):
            if not self._is_in_place():
                raise LocalFileError(f"{shown(self.path)}: somebody took it away while it was written")
            descriptor = self._directory.descriptor
            os.rename(self._part, self._name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        self._close()

    def leave(self) -> int:
        """Give up, and leave what is there for a copy that resumes; gives how many bytes. An empty part goes."""
        count = self.length
        if not count:
            self.discard()
        else:
            self._close()
        return count

    def discard(self) -> None:
        """Give up, and leave nothing."""
        with translated(self.path):
            if self._is_in_place():
                os.unlink(self._part, dir_fd=self._directory.descriptor)
        self._close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CopyFailed(f"{shown(self.path)}: another copy is writing it") from error

    def _check(self) -> None:
        """In a directory that others write to, somebody may have made it before us."""
        with translated(self.path):
            status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise CopyFailed(f"{shown(self.path)}: is there, and is not ours; remove it")

    def _is_in_place(self) -> bool:
        directory = self._directory.descriptor
        try:
            status = os.stat(self._part, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(status, os.fstat(self._descriptor))

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def range_checksum(descriptor: int, offset: int, length: int) -> str:
    """blake2b of a range of an open file, or of what there is of it.

    Raises:
        OSError: it cannot be read.
    """
    digest = new_digest()
    while length > 0 and (piece := os.pread(descriptor, min(length, READ_BYTES), offset)):
        digest.update(piece)
        offset += len(piece)
        length -= len(piece)
    return digest.hexdigest()
