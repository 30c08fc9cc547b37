"""What every copy has in common, to the guest or from it: its options, its errors, and who watches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from guestmux.errors import GuestmuxError, RemoteError

PIECE = 1024 * 1024
"""Bytes that one thread reads or writes at once: the cost of going there and back is then below a tenth of it."""

PART_SUFFIX = b".guestmux-part"
"""How the name of an unfinished copy ends; it begins with a dot."""

PERMISSIONS = 0o777
"""The bits of a mode that are copied. Whoever copies does not hand on somebody's setuid program."""


class LocalFileError(GuestmuxError):
    """A file of this host cannot be read or written; the text says which and why."""


class CopyFailed(GuestmuxError):
    """A copy cannot be made, or was broken; the text says which and why."""


class ChecksumMismatch(CopyFailed):
    """What arrived is not what was sent; it was thrown away."""


@dataclass(frozen=True)
class CopyFailure:
    """One file of several that was not copied.

    Attributes:
        path: the source.
        error: why.
    """

    path: str
    error: GuestmuxError | RemoteError

    def __str__(self) -> str:
        return f"{self.path}: {reason(self.error)}"


@dataclass
class CopyReport:
    """What a copy did.

    Attributes:
        files: how many files are there now, those that were there already included.
        directories: how many directories.
        symlinks: how many symbolic links.
        bytes: how many bytes went over the wire.
        skipped: how many sources are none of the three.
        failed: how many sources were not copied.
        failures: which, and why; the first thousand of them, sorted.
    """

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    bytes: int = 0
    skipped: int = 0
    failed: int = 0
    failures: list[CopyFailure] = field(default_factory=list)


class CopyIncomplete(CopyFailed):
    """Some files of a directory were not copied, all others were.

    Args:
        report: what was done; `failures` says which and why.
    """

    def __init__(self, report: CopyReport) -> None:
        more = f" (and {report.failed - 1} more)" if report.failed > 1 else ""
        super().__init__(f"not everything was copied: {report.failures[0]}{more}")
        self.report = report


@dataclass(frozen=True)
class CopyOptions:
    """How to copy.

    Attributes:
        recursive: directories with what is in them.
        preserve: permissions, times, and the owner where we may give files away.
        resume: go on with what an earlier copy left.
        checksum: compare checksums of both ends.
        sparse: send no holes.
        into: the target must be a directory, in which the copy is made.
    """

    recursive: bool = False
    preserve: bool = False
    resume: bool = False
    checksum: bool = True
    sparse: bool = True
    into: bool = False


class CopyWatcher:
    """Is told what becomes of a copy; subclass it and override what is of interest. Paths are the sources'."""

    def began(self, path: str, size: int | None) -> None:
        """A file's copy begins; `size` in bytes, None where nobody knows."""

    def moved(self, path: str, count: int) -> None:
        """So many more bytes of it are there: sent, found to be a hole, or there already."""

    def ended(self, path: str) -> None:
        """It is whole, or was given up."""

    def skipped(self, path: str, what: str) -> None:
        """It is no file, directory or symbolic link, so it was left out."""

    def failed(self, failure: CopyFailure) -> None:
        """One of several was not copied; the rest goes on."""

    def kept(self, path: str, part: str, count: int) -> None:
        """It was given up, and `part` with `count` bytes is left for a copy that resumes."""

    def noted(self, text: str) -> None:
        """Something that is worth a line."""


def reason(error: GuestmuxError | RemoteError) -> str:
    """An error in one line, without what only programs need."""
    return error.desc if isinstance(error, RemoteError) else str(error)


def part_name(name: bytes) -> bytes:
    """The name of a file's unfinished copy, beside it."""
    # What is over NAME_MAX (255 bytes) would be refused by every file system.
    longest = 255 - len(PART_SUFFIX) - 1
    if len(name) > longest:
        digest = blake2b(name, digest_size=8).hexdigest().encode()
        name = name[: longest - len(digest) - 1] + b"." + digest
    return b"." + name + PART_SUFFIX


def is_part(name: bytes) -> bool:
    """Whether a name is that of an unfinished copy."""
    return name.startswith(b".") and name.endswith(PART_SUFFIX)


def shown(path: bytes) -> str:
    """A path for messages; bytes that are no text are escaped."""
    return path.decode("utf-8", "backslashreplace")


def joined(directory: bytes, name: bytes) -> bytes:
    """The path of a name in a directory."""
    return name if not directory else directory.rstrip(b"/") + b"/" + name


def total(ranges: Sequence[tuple[int, int]]) -> int:
    """Bytes in some ranges."""
    return sum(length for _, length in ranges)
