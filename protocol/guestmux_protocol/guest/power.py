"""Switch the machine off, and put it to sleep. A success is not answered: there is nobody left to do it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc


@command(GUEST, "guest-shutdown", returns=Data, success_response=False)
class GuestShutdown(Arguments, frozen=True):
    """Shut the machine down in an orderly way. Only a failure to begin is answered."""

    mode: Annotated[
        str | UnsetType,
        doc("`powerdown`, `halt` (stop, but keep the power on) or `reboot`; else `powerdown`."),
    ] = UNSET


@command(GUEST, "guest-suspend-disk", returns=Data, success_response=False)
class GuestSuspendDisk(Arguments, frozen=True):
    """Write the memory to disk and switch off. Only a failure is answered."""


@command(GUEST, "guest-suspend-ram", returns=Data, success_response=False)
class GuestSuspendRam(Arguments, frozen=True):
    """Sleep, with the memory powered. Only a failure is answered. The host wakes it by `system_wakeup`."""


@command(GUEST, "guest-suspend-hybrid", returns=Data, success_response=False)
class GuestSuspendHybrid(Arguments, frozen=True):
    """Write the memory to disk, then sleep with it powered. Only a failure is answered."""
