"""The kernel's lists of links and addresses, asked for by rtnetlink(7); the only complete source of IPv4 addresses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

from guestmux_protocol import rtnetlink
from guestmux_protocol.rtnetlink import Address, Link, Message, Wanted

MAX_DATAGRAM = 64 * 1024
"""Bytes of one answer; the kernel fills 32 KiB at most (netlink(7), netlink_dump)."""

MAX_DUMP = 16 << 20
"""Bytes of a whole list: some hundred thousand addresses, and an end to a kernel that never stops."""

ANSWER_SECONDS = 5.0
"""Until an answer comes; the kernel has the first one ready when the request returns."""

MAX_ATTEMPTS = 3
"""How often a list is asked for that changed while it was given."""

_NETLINK_ROUTE = 0


def links() -> list[Link]:
    """Every interface of this network namespace.

    Raises:
        OSError: the kernel does not tell.
    """
    return rtnetlink.links(_dump("links"))


def addresses() -> list[Address]:
    """Every IP address of this network namespace.

    Raises:
        OSError: the kernel does not tell.
    """
    return rtnetlink.addresses(_dump("addresses"))


def netlink_socket(groups: int = 0) -> socket.socket:
    """A socket of this network namespace, for questions and notices.

    Args:
        groups: which notices it gets, as `rtnetlink.MULTICAST_GROUPS`.

    Raises:
        OSError: this process may not have one.
    """
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    try:
        netlink.bind((0, groups))
    except OSError:
        netlink.close()
        raise
    return netlink


def _dump(wanted: Wanted) -> list[Message]:
    """All messages of a list, asked for again where it changed meanwhile; what the last attempt gave."""
    for _ in range(MAX_ATTEMPTS):
        dump = _ask(wanted)
        if not any(message.interrupted for message in dump):
            break
    return dump


def _ask(wanted: Wanted) -> list[Message]:
    with closing(netlink_socket()) as asking:
        asking.settimeout(ANSWER_SECONDS)
        asking.sendto(rtnetlink.request(wanted, 1), (0, 0))
        return list(_answers(asking))


def _answers(asking: socket.socket) -> Iterator[Message]:
    size = 0
    while size < MAX_DUMP:
        answer, (sender, _) = asking.recvfrom(MAX_DATAGRAM)
        if sender != 0:
            # Any process may send to this socket; only the kernel is 0.
            continue
        size += len(answer)
        for message in rtnetlink.messages(answer):
            if message.error:
                raise OSError(message.error, f"the kernel answered with error {message.error}")
            yield message
            if message.ends:
                return
