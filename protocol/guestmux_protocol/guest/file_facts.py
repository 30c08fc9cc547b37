"""What files are like: our own guest-file-* commands that look and change nothing."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.guest.paths import OnePath
from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Data, command, doc

MAX_ENTRIES = 10_000
"""Entries of one answer about a directory: 3 MB of JSON."""

DEFAULT_ENTRIES = 1000
"""Entries of an answer for which no number is named."""

MAX_EXTENTS = 4096
"""Extents of one answer, and the ranges of one transfer: 100 kB of JSON."""

SMALLEST_HOLE = 64 * 1024
"""Bytes of a hole that is told: to pass over a smaller one saves less than to speak of it costs."""

FileType: TypeAlias = Literal["file", "directory", "symlink", "fifo", "socket", "block", "char"]
Offset: TypeAlias = Annotated[int, Meta(ge=0)]
Pair: TypeAlias = Annotated[list[Offset], Meta(min_length=2, max_length=2)]


class FileStat(Data, frozen=True, kw_only=True):
    """What a file is like."""

    type: FileType
    size: Annotated[int, doc("Bytes.")]
    allocated: Annotated[int, doc("Bytes that it takes on its disk: fewer than `size` where it has holes.")]
    mode: Annotated[int, doc("Its permissions, with setuid, setgid and sticky bit: at most 4095.")]
    uid: int
    gid: int
    user: Annotated[str | UnsetType, doc("The name of `uid`, where it has one.")] = UNSET
    group: Annotated[str | UnsetType, doc("The name of `gid`, where it has one.")] = UNSET
    mtime_ns: Annotated[int, doc("When its content changed: nanoseconds since 1970, UTC.")]
    target: Annotated[str | UnsetType, doc("What a symbolic link says.")] = UNSET
    target_b64: Annotated[str | UnsetType, doc("The same as base64, where it is no UTF-8.")] = UNSET
    device: Annotated[
        int | UnsetType, doc("With `inode`: two names of one file have the same. Where they are int64.")
    ] = UNSET
    inode: int | UnsetType = UNSET


class FileEntry(FileStat, frozen=True, kw_only=True):
    """A file in a directory; what it points to where it is a symbolic link is not looked at."""

    name: str | UnsetType = UNSET
    name_b64: Annotated[str | UnsetType, doc("In the name's place, as base64: where it is no UTF-8.")] = UNSET


class FileList(Data, frozen=True):
    """Some of a directory's files."""

    entries: Annotated[list[FileEntry], doc("Sorted by the bytes of their names.")]
    more: Annotated[bool, doc("There are others: ask again, `after` the last of these.")]


class FileExtents(Data, frozen=True):
    """Where a file has data."""

    extents: Annotated[
        list[list[int]], doc("`[offset, length]` each, in bytes, ascending; between them are holes.")
    ]
    more: Annotated[bool, doc("The rest was not looked at: ask again, from the end of the last of these.")]


class FileChecksum(Data, frozen=True):
    """A checksum."""

    blake2b: Annotated[str, doc("BLAKE2b of 64 bytes, in hexadecimal digits, as b2sum prints it.")]
    length: Annotated[int, doc("Bytes that it is of; fewer than asked for where the file ends.")]


@command(GUEST, "guest-file-stat", returns=FileStat)
class GuestFileStat(OnePath, frozen=True):
    """Tell what a file is like, of whatever type it is."""

    follow: Annotated[bool, doc("For a symbolic link: what it points to.")] = True


@command(GUEST, "guest-file-list", returns=FileList)
class GuestFileList(OnePath, frozen=True):
    """Tell what is in a directory, without `.` and `..`."""

    after: Annotated[str | UnsetType, doc("Only names behind this one.")] = UNSET
    after_b64: Annotated[str | UnsetType, doc("In its place, as base64.")] = UNSET
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_ENTRIES)], doc("Entries at most; 10000 at the most.")
    ] = DEFAULT_ENTRIES


@command(GUEST, "guest-file-extents", returns=FileExtents)
class GuestFileExtents(OnePath, frozen=True):
    """Tell where a file has data and where holes, as far as its file system knows; holes below 64 KiB count as data."""

    offset: Annotated[Offset, doc("Bytes from the beginning.")] = 0
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_EXTENTS)], doc("Extents at most; 4096 at the most.")
    ] = MAX_EXTENTS


@command(GUEST, "guest-file-checksum", returns=FileChecksum)
class GuestFileChecksum(OnePath, frozen=True):
    """Tell the checksum of a file, or of a part of it, by reading all of that: allow 2 s for a GB, or cut it up."""

    offset: Annotated[Offset, doc("Bytes from the beginning.")] = 0
    length: Annotated[Offset | UnsetType, doc("Bytes; up to the end where not given.")] = UNSET
