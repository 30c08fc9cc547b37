"""guest-file-*: files by handle, as stdio has them (QEMU's qga/qapi-schema.json)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc

MAX_READ = 48 * 1024 * 1024
"""Bytes of one read: as base64 they fill the 64 MiB of a JSON string that QEMU's parser takes."""

DEFAULT_READ = 4096
"""Bytes of a read that names no number, as in qemu-ga."""

Handle = Annotated[int, doc("From guest-file-open.")]
Base64 = Annotated[str, doc("Base64; line feeds in it are skipped.")]


class GuestFileRead(Data, frozen=True):
    """What was read."""

    count: Annotated[int, doc("Bytes, before base64.")]
    buf_b64: Annotated[str, doc("The bytes, as base64.")]
    eof: Annotated[bool, doc("The end of the file was met.")]


class GuestFileWrite(Data, frozen=True):
    """What was written."""

    count: Annotated[int, doc("Bytes; fewer than given where a pipe was full.")]
    eof: bool


class GuestFileSeek(Data, frozen=True):
    """Where the file stands."""

    position: Annotated[int, doc("Bytes from the beginning.")]
    eof: bool


@command(GUEST, "guest-file-open", returns=int)
class GuestFileOpen(Arguments, frozen=True):
    """Open a file. It stays open until it is closed; reading a pipe never waits."""

    path: Annotated[str, doc("Full path.")]
    mode: Annotated[str, doc("As fopen has it; `r` where not given.")] = "r"


@command(GUEST, "guest-file-close", returns=Data)
class GuestFileClose(Arguments, frozen=True):
    """Close a file."""

    handle: Handle


@command(GUEST, "guest-file-read", returns=GuestFileRead)
class GuestFileReadCommand(Arguments, frozen=True):
    """Read from a file, up to 48 MiB."""

    handle: Handle
    count: Annotated[int, doc("Bytes at most.")] = DEFAULT_READ


@command(GUEST, "guest-file-write", returns=GuestFileWrite)
class GuestFileWriteCommand(Arguments, frozen=True):
    """Write to a file."""

    handle: Handle
    buf_b64: Base64
    count: Annotated[int | UnsetType, doc("How many of the decoded bytes; all where not given.")] = UNSET


@command(GUEST, "guest-file-seek", returns=GuestFileSeek)
class GuestFileSeekCommand(Arguments, frozen=True):
    """Go to a position, as fseek does, and tell it."""

    handle: Handle
    offset: Annotated[int, doc("Bytes.")]
    whence: Annotated[
        int | Literal["set", "cur", "end"],
        doc("From where: the beginning (0), the present position (1), the end (2)."),
    ]


@command(GUEST, "guest-file-flush", returns=Data)
class GuestFileFlush(Arguments, frozen=True):
    """Hand what was written to the kernel; here that is done when guest-file-write answers."""

    handle: Handle
