"""Our own guest-file-* commands that make, move, remove and change files."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, UnsetType, field

from guestmux_protocol.guest.file_facts import Offset
from guestmux_protocol.guest.paths import Base64Path, OnePath
from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc

MAX_MODE = 0o7777
"""Permissions with setuid, setgid and sticky bit."""

MAX_ID = 2**32 - 2
"""The largest uid or gid; the one after it means "unchanged" to the kernel."""

Mode: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_MODE)]
Id: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_ID)]


@command(GUEST, "guest-file-make-directory", returns=Data)
class GuestFileMakeDirectory(OnePath, frozen=True):
    """Make a directory."""

    mode: Annotated[Mode, doc("Its permissions, less the umask.")] = 0o777
    parents: Annotated[bool, doc("Make those above it, too, where they are not there.")] = False
    exist_ok: Annotated[bool, doc("It may be there already.")] = False


@command(GUEST, "guest-file-make-symlink", returns=Data)
class GuestFileMakeSymlink(OnePath, frozen=True):
    """Make a symbolic link."""

    target: Annotated[str | UnsetType, doc("What it says; that need not be there.")] = UNSET
    target_b64: Base64Path = UNSET


@command(GUEST, "guest-file-rename", returns=Data)
class GuestFileRename(Arguments, frozen=True):
    """Rename a file within its file system, at once or not at all; what had the new name is gone then."""

    source: Annotated[str | UnsetType, doc("Full path.")] = field(name="from", default=UNSET)
    source_b64: Base64Path = field(name="from-b64", default=UNSET)
    to: Annotated[str | UnsetType, doc("Full path.")] = UNSET
    to_b64: Base64Path = UNSET


@command(GUEST, "guest-file-remove", returns=Data)
class GuestFileRemove(OnePath, frozen=True):
    """Remove a file, a symbolic link or an empty directory. A link is removed itself, never what it points to."""

    recursive: Annotated[bool, doc("A directory with all that is in it.")] = False


@command(GUEST, "guest-file-set-attributes", returns=Data)
class GuestFileSetAttributes(OnePath, frozen=True):
    """Change what is given, in this order: owner, size, permissions, time."""

    uid: Annotated[Id | UnsetType, doc("Its user.")] = UNSET
    gid: Annotated[Id | UnsetType, doc("Its group.")] = UNSET
    size: Annotated[Offset | UnsetType, doc("Bytes; what is added reads as zeros.")] = UNSET
    mode: Annotated[Mode | UnsetType, doc("Its permissions, whatever the umask is.")] = UNSET
    mtime_ns: Annotated[int | UnsetType, doc("Nanoseconds since 1970, UTC.")] = UNSET
    follow: Annotated[bool, doc("For a symbolic link: change what it points to.")] = True
