"""Interfaces and routes: from the kernel's messages and tables, made up and of this machine."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from guestmux_protocol.guest.network import (
    GuestIpAddress,
    GuestNetworkGetInterfaces,
    GuestNetworkGetRoute,
    GuestNetworkInterface,
    GuestNetworkInterfaceStat,
    GuestNetworkRoute,
)
from guestmux_protocol.rtnetlink import Address, Link
from guestmux_session.errors import CommandError
from guestmux_session.verbs.network import Network

ETHERNET = bytes.fromhex("525400123456")

DEV = """\
Inter-|   Receive                                    |  Transmit
 face |bytes packets errs drop fifo frame (and so on)|bytes packets errs drop (and so on)
    lo:       1       2    3    4    5     6          7         8        9      10   11   12   13    14     15  16
ab\x1c:4 6 0 0 0 0 0 0 5 7 0 0 0 0 0 0
 bad0: 1 2 3
"""


def ipv4(text: str) -> bytes:
    return socket.inet_aton(text)


def ipv6(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


def network(tmp_path: Path, links: list[Link], addresses: list[Address]) -> list[GuestNetworkInterface]:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/dev").write_text(DEV)
    asked = Network(tmp_path, lambda: links, lambda: addresses)
    return asked.interfaces(GuestNetworkGetInterfaces())


def test_interfaces_have_addresses_and_counters(tmp_path: Path) -> None:
    links = [
        Link(1, "lo", bytes(6)),
        Link(2, "wg0", b""),
        Link(3, "ib0", bytes(range(20))),
        Link(4, "ab\x1c", ETHERNET),
    ]
    addresses = [
        Address(1, "ipv4", "127.0.0.1", 8, "lo"),
        Address(4, "ipv4", "192.0.2.7", 24, "ab:2"),
        Address(1, "ipv6", "::1", 128, ""),
        Address(4, "ipv6", "fe80::1", 64, ""),
        Address(99, "ipv4", "192.0.2.99", 24, "gone0"),
    ]
    assert network(tmp_path, links, addresses) == [
        GuestNetworkInterface(
            name="lo",
            hardware_address="00:00:00:00:00:00",
            ip_addresses=[
                GuestIpAddress(ip_address="127.0.0.1", ip_address_type="ipv4", prefix=8),
                GuestIpAddress(ip_address="::1", ip_address_type="ipv6", prefix=128),
            ],
            statistics=GuestNetworkInterfaceStat(
                rx_bytes=1,
                rx_packets=2,
                rx_errs=3,
                rx_dropped=4,
                tx_bytes=9,
                tx_packets=10,
                tx_errs=11,
                tx_dropped=12,
            ),
        ),
        GuestNetworkInterface(name="wg0", hardware_address="00:00:00:00:00:00"),
        GuestNetworkInterface(name="ib0", hardware_address="00:01:02:03:04:05"),
        GuestNetworkInterface(
            name="ab\x1c",
            hardware_address="52:54:00:12:34:56",
            ip_addresses=[GuestIpAddress(ip_address="fe80::1", ip_address_type="ipv6", prefix=64)],
            statistics=GuestNetworkInterfaceStat(
                rx_bytes=4,
                rx_packets=6,
                rx_errs=0,
                rx_dropped=0,
                tx_bytes=5,
                tx_packets=7,
                tx_errs=0,
                tx_dropped=0,
            ),
        ),
        GuestNetworkInterface(
            name="ab:2",
            hardware_address="52:54:00:12:34:56",
            ip_addresses=[GuestIpAddress(ip_address="192.0.2.7", ip_address_type="ipv4", prefix=24)],
        ),
    ]


def test_a_kernel_that_does_not_tell(tmp_path: Path) -> None:
    def refuse() -> list[Link]:
        raise OSError(1, "Operation not permitted")

    with pytest.raises(CommandError, match=r"^getifaddrs failed: Operation not permitted$"):
        Network(tmp_path, refuse).interfaces(GuestNetworkGetInterfaces())


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    tables = tmp_path / "net"
    tables.mkdir()
    return tables


def native(text: str) -> str:
    """An address as this processor's kernel prints it."""
    return f"{int.from_bytes(ipv4(text), sys.byteorder):08X}"


def test_routes_of_both_versions(tmp_path: Path, tables: Path) -> None:
    header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    numbers = "\t".join(map(native, ("192.0.2.0", "192.0.2.1")))
    (tables / "route").write_text(
        f"{header}eth0\t{numbers}\t0003\t1\t2\t100\t{native('255.255.255.0')}\t1500\t4\t5   \nhalf a line\n"
    )
    source, gateway = "0" * 32, ipv6("fe80::1").hex()
    (tables / "ipv6_route").write_text(
        f"{ipv6('2001:db8::').hex()} 40 {source} 00 {gateway} 00000400 00000003 00000010 80200003     eth0\n"
    )
    assert Network(tmp_path).routes(GuestNetworkGetRoute()) == [
        GuestNetworkRoute(
            iface="eth0",
            destination="192.0.2.0",
            metric=100,
            gateway="192.0.2.1",
            mask="255.255.255.0",
            irtt=5,
            flags=3,
            refcnt=1,
            use=2,
            window=4,
            mtu=1500,
            version=4,
        ),
        GuestNetworkRoute(
            iface="eth0",
            destination="2001:db8::",
            metric=1024,
            flags=0x80200003,
            refcnt=3,
            use=16,
            desprefixlen="64",
            source="::",
            srcprefixlen="0",
            nexthop="fe80::1",
            version=6,
        ),
    ]


def test_a_kernel_without_ip_has_no_routes(tmp_path: Path) -> None:
    assert Network(tmp_path).routes(GuestNetworkGetRoute()) == []
