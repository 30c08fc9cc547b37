"""The guest's network: interfaces, addresses, counters, routes; as in QEMU 10.2's qga/qapi-schema.json."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc


class GuestIpAddress(Data, frozen=True, kw_only=True):
    """An address of an interface."""

    ip_address: str
    ip_address_type: Literal["ipv4", "ipv6"]
    prefix: Annotated[int, doc("Bits of the network's part.")]


class GuestNetworkInterfaceStat(Data, frozen=True, kw_only=True):
    """What went through an interface since it came."""

    rx_bytes: int
    rx_packets: int
    rx_errs: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errs: int
    tx_dropped: int


class GuestNetworkInterface(Data, frozen=True, kw_only=True):
    """A network interface."""

    name: str
    hardware_address: Annotated[str | UnsetType, doc("Six bytes, as `52:54:00:12:34:56`.")] = UNSET
    ip_addresses: Annotated[list[GuestIpAddress] | UnsetType, doc("Absent where it has none.")] = UNSET
    statistics: Annotated[
        GuestNetworkInterfaceStat | UnsetType, doc("Absent where it has no address, as in qemu-ga.")
    ] = UNSET


class GuestNetworkRoute(Data, frozen=True, kw_only=True):
    """A route. Which members it has depends on the IP version."""

    iface: Annotated[str, doc("The interface that packets leave by.")]
    destination: Annotated[str, doc("The network's address.")]
    metric: int
    gateway: Annotated[str | UnsetType, doc("IPv4 only.")] = UNSET
    mask: Annotated[str | UnsetType, doc("IPv4 only.")] = UNSET
    irtt: Annotated[int | UnsetType, doc("Initial round-trip time; IPv4 only.")] = UNSET
    flags: Annotated[int | UnsetType, doc("Linux' RTF flags.")] = UNSET
    refcnt: int | UnsetType = UNSET
    use: Annotated[int | UnsetType, doc("How often it was looked up.")] = UNSET
    window: Annotated[int | UnsetType, doc("TCP window; IPv4 only.")] = UNSET
    mtu: Annotated[int | UnsetType, doc("IPv4 only.")] = UNSET
    desprefixlen: Annotated[
        str | UnsetType, doc("Bits of the destination, as decimal digits; IPv6 only.")
    ] = UNSET
    source: Annotated[str | UnsetType, doc("IPv6 only.")] = UNSET
    srcprefixlen: Annotated[str | UnsetType, doc("Bits of the source, as decimal digits; IPv6 only.")] = UNSET
    nexthop: Annotated[str | UnsetType, doc("IPv6 only.")] = UNSET
    version: Annotated[int, doc("4 or 6.")]


@command(GUEST, "guest-network-get-interfaces", returns=list[GuestNetworkInterface])
class GuestNetworkGetInterfaces(Arguments, frozen=True, kw_only=True):
    """List the network interfaces with their addresses."""


@command(GUEST, "guest-network-get-route", returns=list[GuestNetworkRoute])
class GuestNetworkGetRoute(Arguments, frozen=True, kw_only=True):
    """List the routes, those of IPv4 first."""
