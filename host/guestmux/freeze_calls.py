"""File systems frozen for a snapshot, thawed after it, and trimmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio

from guestmux.calling import Calling, read_as
from guestmux.errors import CommandNotFound, NotConnected
from guestmux_protocol.guest.freeze import (
    FreezeStatus,
    GuestFilesystemTrimResponse,
    GuestFilesystemTrimResult,
)

FREEZE_TIMEOUT = 600.0
"""Seconds to freeze: hooks flush databases, and the kernel writes what is dirty."""

THAW_TIMEOUT = 180.0
"""Seconds to thaw, as Proxmox gives it."""

TRIM_TIMEOUT = 600.0
"""Seconds to trim, as Proxmox gives them."""


class FreezeCalls(Calling):
    """Freezes, thaws and trims. Every method raises what `call` raises, and UnexpectedReply."""

    async def freeze_status(self, *, timeout: float | None = None) -> FreezeStatus:
        """`frozen` or `thawed`."""
        value = await self.call("guest-fsfreeze-status", timeout=timeout)
        # mypy has no way to say that a Literal is a type.
        status: FreezeStatus = read_as(FreezeStatus, "guest-fsfreeze-status", value)  # type: ignore[arg-type]
        return status

    async def freeze(self, mountpoints: Sequence[str] = (), *, timeout: float = FREEZE_TIMEOUT) -> int:
        """Freeze file systems until `thaw`; meanwhile the guest takes only a handful of commands.

        Args:
            mountpoints: those mounted here, and what is mounted nowhere is ignored; all by default.
            timeout: seconds. When they pass the guest may freeze all the same: thaw it.

        Returns:
            how many are frozen.
        """
        if mountpoints:
            command, arguments = "guest-fsfreeze-freeze-list", {"mountpoints": list(mountpoints)}
        else:
            command, arguments = "guest-fsfreeze-freeze", {}
        return read_as(int, command, await self.call(command, arguments, timeout=timeout))

    async def thaw(self, *, timeout: float = THAW_TIMEOUT) -> int:
        """Thaw every frozen file system; gives how many were. Does no harm where none is."""
        value = await self.call("guest-fsfreeze-thaw", timeout=timeout)
        return read_as(int, "guest-fsfreeze-thaw", value)

    @asynccontextmanager
    async def frozen(
        self,
        mountpoints: Sequence[str] = (),
        *,
        timeout: float = FREEZE_TIMEOUT,
        thaw_timeout: float = THAW_TIMEOUT,
    ) -> AsyncIterator[int]:
        """Keep file systems frozen for as long as the block runs, and thaw them on every way out of it.

        A cancellation, or a freeze that was not answered, thaws as well; over a lost connection it waits for the next
        one, for as long as thawing may take.

        Args:
            mountpoints: see `freeze`.
            timeout: seconds to freeze.
            thaw_timeout: seconds to thaw.
        """
        begun = True
        try:
            try:
                count = await self.freeze(mountpoints, timeout=timeout)
            except (CommandNotFound, NotConnected):
                # So says a guest that is frozen by somebody else, who is to thaw it.
                begun = False
                raise
            yield count
        finally:
            if begun:
                with anyio.CancelScope(shield=True):
                    await self.thaw(timeout=thaw_timeout)

    async def trim(
        self, minimum: int | None = None, *, timeout: float = TRIM_TIMEOUT
    ) -> list[GuestFilesystemTrimResult]:
        """Hand unused blocks back to the host, and tell for each file system how much.

        Args:
            minimum: bytes; shorter free ranges are left alone.
            timeout: seconds.
        """
        arguments = {} if minimum is None else {"minimum": minimum}
        value = await self.call("guest-fstrim", arguments, timeout=timeout)
        return read_as(GuestFilesystemTrimResponse, "guest-fstrim", value).paths
