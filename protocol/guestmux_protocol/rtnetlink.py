"""The kernel's lists of links and addresses as rtnetlink(7) has them: requests to bytes, bytes to what they tell."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

MULTICAST_GROUPS = 0x1 | 0x10 | 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR: links and addresses as they change."""

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_CODE = struct.Struct("=i")

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_CHANGES = frozenset({_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_DELADDR})
_NLM_F_DUMP_REQUEST = 0x301
_NLM_F_DUMP_INTR = 0x10
_ATTRIBUTE_TYPE = 0x3FFF
_IFF_UP, _IFF_RUNNING = 0x1, 0x40

_IFLA_ADDRESS, _IFLA_IFNAME = 1, 3
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL = 1, 2, 3

_AF_INET, _AF_INET6 = 2, 10

Wanted = Literal["links", "addresses"]
_REQUESTS: dict[Wanted, int] = {"links": _RTM_GETLINK, "addresses": _RTM_GETADDR}


@dataclass(frozen=True)
class Link:
    """An interface.

    Attributes:
        index: the kernel's number for it.
        name: its name.
        hardware_address: of any length.
        up: it is switched on and has a carrier.
    """

    index: int
    name: str
    hardware_address: bytes
    up: bool = False


@dataclass(frozen=True)
class Address:
    """An address: the number of its interface, its family, its text, the bits of its network, its label if any."""

    index: int
    family: Literal["ipv4", "ipv6"]
    text: str
    prefix: int
    label: str


@dataclass(frozen=True)
class Message:
    """One message of the kernel's.

    Attributes:
        kind: its type.
        flags: its flags.
        sequence: the number of the request that it answers; 0 for none.
        body: what follows the header.
    """

    kind: int
    flags: int
    sequence: int
    body: bytes

    @property
    def changed(self) -> bool:
        """Whether it tells that a link or an address came, went, or is another."""
        return self.sequence == 0 and self.kind in _CHANGES

    @property
    def ends(self) -> bool:
        """Whether nothing follows that answers the same request."""
        return self.kind in (_NLMSG_DONE, _NLMSG_ERROR)

    @property
    def interrupted(self) -> bool:
        """Whether the list changed while it was given (NLM_F_DUMP_INTR): it may lack something."""
        return bool(self.flags & _NLM_F_DUMP_INTR)

    @property
    def error(self) -> int:
        """The errno by which the kernel refuses; 0 for none."""
        if self.kind != _NLMSG_ERROR or len(self.body) < _CODE.size:
            return 0
        code: int = _CODE.unpack_from(self.body)[0]
        return -code


def request(wanted: Wanted, sequence: int) -> bytes:
    """The request for a whole list.

    Args:
        wanted: of what.
        sequence: the number that the answers will have; not 0, which is that of notices.
    """
    body = _LINK.pack(0, 0, 0, 0, 0)
    header = _HEADER.pack(_HEADER.size + len(body), _REQUESTS[wanted], _NLM_F_DUMP_REQUEST, sequence, 0)
    return header + body


def messages(data: bytes) -> Iterator[Message]:
    """The messages of a datagram; one that is cut short is left out, with all that follows."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield Message(kind, flags, sequence, data[at + _HEADER.size : at + length])
        at += _aligned(length)


def links(dump: list[Message]) -> list[Link]:
    """The links that some messages tell of."""
    bodies = (message.body for message in dump if message.kind == _RTM_NEWLINK)
    return [_link(body) for body in bodies if len(body) >= _LINK.size]


def addresses(dump: list[Message]) -> list[Address]:
    """The IP addresses that some messages tell of; those of other families are left out."""
    bodies = (message.body for message in dump if message.kind == _RTM_NEWADDR)
    found = (_address(body) for body in bodies if len(body) >= _ADDRESS.size)
    return [address for address in found if address is not None]


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    attributes = _attributes(body[_LINK.size :])
    up = flags & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING
    return Link(index, _text(attributes.get(_IFLA_IFNAME, b"")), attributes.get(_IFLA_ADDRESS, b""), up)


def _address(body: bytes) -> Address | None:
    family, prefix, _, _, index = _ADDRESS.unpack_from(body)
    attributes = _attributes(body[_ADDRESS.size :])
    # Of a point-to-point link IFA_ADDRESS is the other end.
    packed = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS, b""))
    label = _text(attributes.get(_IFA_LABEL, b""))
    if family == _AF_INET and len(packed) == 4:
        return Address(index, "ipv4", str(IPv4Address(packed)), prefix, label)
    if family == _AF_INET6 and len(packed) == 16:
        return Address(index, "ipv6", str(IPv6Address(packed)), prefix, label)
    return None


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
