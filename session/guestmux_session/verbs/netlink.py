"""The kernel's lists of links and addresses, by rtnetlink(7); the only complete source of IPv4 addresses."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

MAX_DATAGRAM = 64 * 1024
"""Bytes of one answer; the kernel fills 32 KiB at most (netlink(7), netlink_dump)."""

MAX_DUMP = 16 << 20
"""Bytes of a whole list: some hundred thousand addresses, and an end to a kernel that never stops."""

ANSWER_SECONDS = 5.0
"""Until an answer comes; the kernel has the first one ready when the request returns."""

MAX_ATTEMPTS = 3
"""How often a list is asked for that changed while it was given."""

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWADDR, _RTM_GETADDR = 16, 18, 20, 22
_NLM_F_DUMP_REQUEST = 0x301
_NLM_F_DUMP_INTR = 0x10
_NETLINK_ROUTE = 0
_ATTRIBUTE_TYPE = 0x3FFF

_IFLA_ADDRESS, _IFLA_IFNAME = 1, 3
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL = 1, 2, 3

_FAMILIES: dict[int, Literal["ipv4", "ipv6"]] = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}


@dataclass(frozen=True)
class Link:
    """An interface: the kernel's number for it, its name, its hardware address of any length."""

    index: int
    name: str
    hardware_address: bytes


@dataclass(frozen=True)
class Address:
    """An address: the number of its interface, its family, its text, the bits of its network, its label if any."""

    index: int
    family: Literal["ipv4", "ipv6"]
    text: str
    prefix: int
    label: str


def links() -> list[Link]:
    """Every interface of this network namespace.

    Raises:
        OSError: the kernel does not tell.
    """
    return parse_links(_dump(_RTM_GETLINK))


def addresses() -> list[Address]:
    """Every IP address of this network namespace.

    Raises:
        OSError: the kernel does not tell.
    """
    return parse_addresses(_dump(_RTM_GETADDR))


def parse_links(dump: bytes) -> list[Link]:
    """The links in a dump's messages."""
    return [_link(body) for kind, _, body in _messages(dump) if kind == _RTM_NEWLINK]


def parse_addresses(dump: bytes) -> list[Address]:
    """The IP addresses in a dump's messages; those of other families are left out."""
    found = (_address(body) for kind, _, body in _messages(dump) if kind == _RTM_NEWADDR)
    return [address for address in found if address is not None]


def _link(body: bytes) -> Link:
    _, _, index, _, _ = _LINK.unpack_from(body)
    attributes = _attributes(body[_LINK.size :])
    return Link(index, _text(attributes.get(_IFLA_IFNAME, b"")), attributes.get(_IFLA_ADDRESS, b""))


def _address(body: bytes) -> Address | None:
    family, prefix, _, _, index = _ADDRESS.unpack_from(body)
    attributes = _attributes(body[_ADDRESS.size :])
    # Of a point-to-point link IFA_ADDRESS is the other end.
    packed = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS))
    if family not in _FAMILIES or packed is None:
        return None
    label = _text(attributes.get(_IFA_LABEL, b""))
    return Address(index, _FAMILIES[family], socket.inet_ntop(family, packed), prefix, label)


def _dump(request: int) -> bytes:
    """All messages of a list, asked for again where it changed meanwhile; what the last attempt gave."""
    for _ in range(MAX_ATTEMPTS):
        dump = _ask(request)
        if not any(flags & _NLM_F_DUMP_INTR for _, flags, _ in _messages(dump)):
            break
    return dump


def _ask(request: int) -> bytes:
    with closing(
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    ) as asked:
        asked.settimeout(ANSWER_SECONDS)
        asked.bind((0, 0))
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        asked.sendto(
            _HEADER.pack(_HEADER.size + len(body), request, _NLM_F_DUMP_REQUEST, 1, 0) + body, (0, 0)
        )
        return b"".join(_answers(asked))


def _answers(asked: socket.socket) -> Iterator[bytes]:
    size = 0
    while size < MAX_DUMP:
        answer, (sender, _) = asked.recvfrom(MAX_DATAGRAM)
        if sender != 0:
            # Any process may send to this socket; only the kernel is 0.
            continue
        yield answer
        size += len(answer)
        for kind, _, body in _messages(answer):
            if kind == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", body)[0]
                raise OSError(code, f"the kernel answered with error {code}")
            if kind == _NLMSG_DONE:
                return


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each message."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, flags, data[at + _HEADER.size : at + length]
        at += _aligned(length)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _ATTRIBUTE_TYPE] = data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode(errors="replace")
