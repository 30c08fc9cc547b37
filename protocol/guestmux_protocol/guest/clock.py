"""Set the clock."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc


@command(GUEST, "guest-set-time", returns=Data)
class GuestSetTime(Arguments, frozen=True):
    """Set the system's time, and the hardware clock by it; without a time, the system's by the hardware clock."""

    time: Annotated[int | UnsetType, doc("Nanoseconds since 1970-01-01 UTC.")] = UNSET
