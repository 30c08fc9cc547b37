"""What the guest is: its name, its system, its clock, its load; as in QEMU 10.2's qga/qapi-schema.json."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc


class GuestHostName(Data, frozen=True, kw_only=True):
    """The guest's own name for itself."""

    host_name: str


class GuestOSInfo(Data, frozen=True, kw_only=True):
    """The kernel, by uname(2), and the distribution, by os-release(5); what is not known is left out."""

    kernel_release: str | UnsetType = UNSET
    kernel_version: str | UnsetType = UNSET
    machine: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    pretty_name: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    version_id: str | UnsetType = UNSET
    variant: str | UnsetType = UNSET
    variant_id: str | UnsetType = UNSET


class GuestTimezone(Data, frozen=True, kw_only=True):
    """The time zone as it is now."""

    zone: Annotated[str | UnsetType, doc("Its abbreviation, as `CEST`.")] = UNSET
    offset: Annotated[int, doc("Seconds east of UTC.")]


class GuestLoadAverage(Data, frozen=True, kw_only=True):
    """The mean number of processes that ran or waited."""

    load1m: Annotated[float, doc("Of the last minute.")]
    load5m: Annotated[float, doc("Of the last 5 minutes.")]
    load15m: Annotated[float, doc("Of the last 15 minutes.")]


@command(GUEST, "guest-get-host-name", returns=GuestHostName)
class GuestGetHostName(Arguments, frozen=True, kw_only=True):
    """Tell the guest's host name, which need not be a full domain name, nor known to any name service."""


@command(GUEST, "guest-get-osinfo", returns=GuestOSInfo)
class GuestGetOsinfo(Arguments, frozen=True, kw_only=True):
    """Tell the kernel and the distribution."""


@command(GUEST, "guest-get-timezone", returns=GuestTimezone)
class GuestGetTimezone(Arguments, frozen=True, kw_only=True):
    """Tell the guest's time zone."""


@command(GUEST, "guest-get-time", returns=int)
class GuestGetTime(Arguments, frozen=True, kw_only=True):
    """Tell the guest's clock: nanoseconds since the epoch."""


@command(GUEST, "guest-get-load", returns=GuestLoadAverage)
class GuestGetLoad(Arguments, frozen=True, kw_only=True):
    """Tell the load average."""
