"""guest-network-get-interfaces and guest-network-get-route, by rtnetlink and /proc/net."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

from msgspec import UNSET

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.network import (
    GuestIpAddress,
    GuestNetworkGetInterfaces,
    GuestNetworkGetRoute,
    GuestNetworkInterface,
    GuestNetworkInterfaceStat,
    GuestNetworkRoute,
)
from guestmux_protocol.rtnetlink import Address, Link
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.kernel_files import PROCFS, failed, read_table
from guestmux_transport import rtnetlink

_HARDWARE_ADDRESS = 6
"""Bytes of a hardware address that are shown: those of Ethernet, as in qemu-ga."""

_COUNTERS = ("bytes", "packets", "errs", "dropped")
_COLUMNS = 16
_FIRST_SENT = 8

_IPV4_COLUMNS = 11
_IPV6_COLUMNS = 10


class Network:
    """Lists interfaces and routes of the network namespace that it runs in.

    Args:
        procfs: where procfs is mounted.
        links: gives the interfaces.
        addresses: gives their addresses.
    """

    def __init__(
        self,
        procfs: Path = PROCFS,
        links: Callable[[], list[Link]] = rtnetlink.links,
        addresses: Callable[[], list[Address]] = rtnetlink.addresses,
    ) -> None:
        self._directory = procfs / "net"
        self._links = links
        self._addresses = addresses

    @command_of(GUEST["guest-network-get-interfaces"])
    def interfaces(self, _arguments: GuestNetworkGetInterfaces) -> list[GuestNetworkInterface]:
        """Give one entry for each interface, and as getifaddrs(3) one for each label of an address."""
        try:
            links = {link.index: link for link in self._links()}
            addresses = self._addresses()
        except OSError as error:
            raise failed("getifaddrs failed", error) from error
        names = {link.name: link for link in links.values()}
        of_name: dict[str, list[GuestIpAddress]] = {}
        for address in addresses:
            # An interface may have come between the two questions.
            if address.index in links:
                name = address.label or links[address.index].name
                names.setdefault(name, links[address.index])
                of_name.setdefault(name, []).append(_ip_address(address))
        counters = self._counters()
        return [_interface(name, link, of_name.get(name), counters) for name, link in names.items()]

    @command_of(GUEST["guest-network-get-route"])
    def routes(self, _arguments: GuestNetworkGetRoute) -> list[GuestNetworkRoute]:
        """List the main table of IPv4 and all tables of IPv6; a kernel without one of the two has the other's."""
        rows = [line.split() for line in self._table("route")[1:]]
        routes = [_ipv4_route(row) for row in rows if len(row) == _IPV4_COLUMNS]
        rows = [line.split() for line in self._table("ipv6_route")]
        return routes + [_ipv6_route(row) for row in rows if len(row) == _IPV6_COLUMNS]

    def _table(self, name: str) -> list[str]:
        try:
            return read_table(self._directory / name)
        except CommandError:
            return []

    def _counters(self) -> dict[str, list[int]]:
        """The numbers in /proc/net/dev, by interface; names may hold much, but no colon and no blank."""
        rows = (line.rpartition(":") for line in self._table("dev"))
        split = {name.strip(" "): numbers.split() for name, found, numbers in rows if found}
        return {name: [int(each) for each in row] for name, row in split.items() if len(row) == _COLUMNS}


def _interface(
    name: str, link: Link, addresses: list[GuestIpAddress] | None, counters: dict[str, list[int]]
) -> GuestNetworkInterface:
    counted = counters.get(name) if addresses else None
    return GuestNetworkInterface(
        name=name,
        hardware_address=_hardware_address(link.hardware_address),
        ip_addresses=addresses or UNSET,
        statistics=_statistics(counted) if counted else UNSET,
    )


def _hardware_address(address: bytes) -> str:
    """An interface without one (a tunnel) has zeros."""
    return address[:_HARDWARE_ADDRESS].ljust(_HARDWARE_ADDRESS, b"\0").hex(":")


def _ip_address(address: Address) -> GuestIpAddress:
    return GuestIpAddress(ip_address=address.text, ip_address_type=address.family, prefix=address.prefix)


def _statistics(numbers: list[int]) -> GuestNetworkInterfaceStat:
    received = {f"rx_{name}": number for name, number in zip(_COUNTERS, numbers, strict=False)}
    sent = {f"tx_{name}": number for name, number in zip(_COUNTERS, numbers[_FIRST_SENT:], strict=False)}
    return GuestNetworkInterfaceStat(**received, **sent)


def _ipv4_route(row: list[str]) -> GuestNetworkRoute:
    interface, destination, gateway, flags, references, use, metric, mask, mtu, window, irtt = row
    return GuestNetworkRoute(
        iface=interface,
        destination=_ipv4(destination),
        metric=int(metric),
        gateway=_ipv4(gateway),
        mask=_ipv4(mask),
        irtt=int(irtt),
        flags=int(flags, 16),
        refcnt=int(references),
        use=int(use),
        window=int(window),
        mtu=int(mtu),
        version=4,
    )


def _ipv6_route(row: list[str]) -> GuestNetworkRoute:
    destination, prefix, source, source_prefix, gateway, metric, references, use, flags, interface = row
    return GuestNetworkRoute(
        iface=interface,
        destination=_ipv6(destination),
        metric=int(metric, 16),
        flags=int(flags, 16),
        refcnt=int(references, 16),
        use=int(use, 16),
        desprefixlen=str(int(prefix, 16)),
        source=_ipv6(source),
        srcprefixlen=str(int(source_prefix, 16)),
        nexthop=_ipv6(gateway),
        version=6,
    )


def _ipv4(number: str) -> str:
    """An address as the kernel prints it: the bytes of the network read as a number of the processor's order."""
    return socket.inet_ntoa(struct.pack("=I", int(number, 16)))


def _ipv6(digits: str) -> str:
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
