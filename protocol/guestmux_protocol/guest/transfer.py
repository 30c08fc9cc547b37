"""guest-file-download and guest-file-upload: a file's bytes as a stream."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.guest.file_changes import Mode
from guestmux_protocol.guest.file_facts import MAX_EXTENTS, FileStat, Offset, Pair
from guestmux_protocol.guest.paths import OnePath
from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Data, command, doc

Ranges: TypeAlias = Annotated[
    Annotated[list[Pair], Meta(max_length=MAX_EXTENTS)] | UnsetType,
    doc("`[offset, length]` each, in bytes, ascending, 4096 at the most: only these, one after the other."),
]
Checksum: TypeAlias = Annotated[bool, doc("Tell the checksum in the end.")]


class Transferred(Data, frozen=True):
    """How a download or an upload ended."""

    bytes: Annotated[int, doc("How many went over the stream.")]
    blake2b: Annotated[str | UnsetType, doc("Their BLAKE2b of 64 bytes, in hexadecimal digits.")] = UNSET


@command(GUEST, "guest-file-download", returns=FileStat, stream=True)
class GuestFileDownload(OnePath, frozen=True):
    """Send a file's bytes: all that is there, or ranges of it. Symbolic links are followed.

    Only regular files: a device or a pipe is read with guest-file-read. The stream's result is `bytes`, how many there
    were, and `blake2b`, their BLAKE2b of 64 bytes in hexadecimal digits. It fails where a range is not, or not any
    more, in the file, and where the file became shorter while it was read.
    """

    ranges: Ranges = UNSET
    checksum: Checksum = True


@command(GUEST, "guest-file-upload", returns=FileStat, stream=True)
class GuestFileUpload(OnePath, frozen=True):
    """Write what comes into a file: from its beginning, or into ranges of it.

    The host's end of the stream completes it, and ranges must be filled then. The result is guest-file-download's.
    What was written before a failure stays. Only regular files, one upload at a time to each; a symbolic link is not
    followed, so that nobody who may write to its directory can turn the upload on another file.
    """

    ranges: Ranges = UNSET
    size: Annotated[Offset | UnsetType, doc("Bytes that it is to have, set before anything is written.")] = (
        UNSET
    )
    mode: Annotated[Mode, doc("The permissions of a new file, less the umask.")] = 0o666
    create: Annotated[bool, doc("Make it where it is not there.")] = True
    exclusive: Annotated[bool, doc("It must not be there yet.")] = False
    truncate: Annotated[bool, doc("Drop what is in it first.")] = False
    sync: Annotated[bool, doc("Answer when all of it is on the disk.")] = False
    checksum: Checksum = True
