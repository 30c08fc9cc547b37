"""Freeze and thaw file systems for a snapshot, and hand unused blocks back to the host."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc

FreezeStatus = Literal["thawed", "frozen"]


class GuestFilesystemTrimResult(Data, frozen=True):
    """What became of one file system."""

    path: Annotated[str, doc("Where it is mounted.")]
    trimmed: Annotated[int | UnsetType, doc("Bytes handed back.")] = UNSET
    minimum: Annotated[int | UnsetType, doc("Bytes of the shortest free range that was.")] = UNSET
    error: Annotated[str | UnsetType, doc("Why nothing was.")] = UNSET


class GuestFilesystemTrimResponse(Data, frozen=True):
    """What became of all of them."""

    paths: list[GuestFilesystemTrimResult]


@command(GUEST, "guest-fsfreeze-status", returns=FreezeStatus)
class GuestFsfreezeStatus(Arguments, frozen=True):
    """Tell whether file systems are frozen. It is what this agent did; others may freeze as well."""


@command(GUEST, "guest-fsfreeze-freeze", returns=int)
class GuestFsfreezeFreeze(Arguments, frozen=True):
    """Run the freeze hooks, then sync and freeze all local file systems; returns how many are frozen.

    Until `guest-fsfreeze-thaw` only a handful of commands are taken.
    """


@command(GUEST, "guest-fsfreeze-freeze-list", returns=int)
class GuestFsfreezeFreezeList(Arguments, frozen=True):
    """Freeze some file systems, as `guest-fsfreeze-freeze` does all; returns how many are frozen."""

    mountpoints: Annotated[
        list[str] | UnsetType, doc("Where they are mounted; what is mounted nowhere is ignored. Else all.")
    ] = UNSET


@command(GUEST, "guest-fsfreeze-thaw", returns=int)
class GuestFsfreezeThaw(Arguments, frozen=True):
    """Thaw all frozen file systems, whoever froze them, then run the thaw hooks; returns how many were thawed."""


@command(GUEST, "guest-fstrim", returns=GuestFilesystemTrimResponse)
class GuestFstrim(Arguments, frozen=True):
    """Tell the disks which blocks the file systems do not use, so that the host can have them."""

    minimum: Annotated[
        int | UnsetType, doc("Bytes: leave shorter free ranges alone, which is faster. Else 0.")
    ] = UNSET
