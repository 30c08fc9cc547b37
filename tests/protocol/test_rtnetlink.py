"""The kernel's messages about links and addresses, whole and cut short."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol import rtnetlink
from guestmux_protocol.rtnetlink import Address, Link
from tests.support.netlink_messages import (
    DONE,
    ETHERNET,
    NEW_ADDRESS,
    NEW_LINK,
    address,
    attribute,
    link,
    message,
)


def ipv4(text: str) -> bytes:
    return socket.inet_aton(text)


def ipv6(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


def links(data: bytes) -> list[Link]:
    return rtnetlink.links(list(rtnetlink.messages(data)))


def addresses(data: bytes) -> list[Address]:
    return rtnetlink.addresses(list(rtnetlink.messages(data)))


def test_links_are_read() -> None:
    dump = link(1, "lo", bytes(6)) + link(7, "wg0", None) + message(DONE, bytes(4))
    assert links(dump) == [Link(1, "lo", bytes(6)), Link(7, "wg0", b"")]


@pytest.mark.parametrize(("flags", "up"), [(0x41, True), (0x1, False), (0x40, False), (0x11043, True)])
def test_a_link_is_up_with_a_carrier(flags: int, up: bool) -> None:
    assert links(message(NEW_LINK, struct.pack("=BxHiII", 0, 1, 5, flags, 0))) == [Link(5, "", b"", up)]


def test_addresses_are_read() -> None:
    dump = (
        address(2, 24, socket.AF_INET, (1, ipv4("192.0.2.1")), (2, ipv4("192.0.2.1")), (3, b"eth0:1\0"))
        + address(3, 32, socket.AF_INET, (1, ipv4("203.0.113.9")), (2, ipv4("203.0.113.1")), (3, b"ppp0\0"))
        + address(2, 64, socket.AF_INET6, (1, ipv6("fe80::1")))
        + address(2, 8, 29, (1, b"\x01"))
        + address(2, 8, socket.AF_INET)
    )
    assert addresses(dump) == [
        Address(2, "ipv4", "192.0.2.1", 24, "eth0:1"),
        Address(3, "ipv4", "203.0.113.1", 32, "ppp0"),
        Address(2, "ipv6", "fe80::1", 64, ""),
    ]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_message_cut_short_is_left_out(cut: int) -> None:
    whole, rest = link(1, "lo"), link(2, "eth0")
    assert links((whole + rest)[: len(whole) + min(cut, len(rest) - 4)]) == [Link(1, "lo", ETHERNET)]


def test_what_has_no_length_ends_it() -> None:
    assert links(link(1, "lo") + struct.pack("=IHHII", 3, NEW_LINK, 0, 0, 0))[0].name == "lo"
    body = struct.pack("=BxHiII", 0, 1, 5, 0, 0) + attribute(3, b"a\0") + struct.pack("=HH", 0, 1) + b"junk"
    assert links(message(NEW_LINK, body)) == [Link(5, "a", b"")]


def test_a_body_too_short_tells_nothing() -> None:
    assert links(message(NEW_LINK, b"x")) == []
    assert addresses(message(NEW_ADDRESS, b"x")) == []
    assert [
        each.error for each in rtnetlink.messages(message(2, b"") + message(2, struct.pack("=i", -95)))
    ] == [0, 95]


def test_a_notice_is_told_from_an_answer() -> None:
    answer = next(rtnetlink.messages(link(1, "lo")))
    notice = rtnetlink.Message(answer.kind, 0, 0, answer.body)
    assert (answer.changed, notice.changed, rtnetlink.Message(2, 0, 0, b"").changed) == (False, True, False)


def test_a_request_is_what_the_kernel_wants() -> None:
    assert rtnetlink.request("links", 7) == struct.pack("=IHHII", 32, 18, 0x301, 7, 0) + bytes(16)
    assert rtnetlink.request("addresses", 8)[4:6] == struct.pack("=H", 22)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    dump = list(rtnetlink.messages(data))
    rtnetlink.links(dump)
    rtnetlink.addresses(dump)
    assert all(isinstance(each.error, int) and not (each.ends and each.changed) for each in dump)
    assert not any(each.interrupted and not each.flags for each in dump)


def test_the_end_of_a_list_and_one_that_changed() -> None:
    ended, changed = rtnetlink.messages(message(DONE, bytes(4)) + message(NEW_LINK, bytes(16), flags=0x12))
    assert (ended.ends, ended.interrupted, changed.ends, changed.interrupted) == (True, False, False, True)
