"""Links and addresses, followed by rtnetlink(7): what changed is told as the whole list, once it has come to rest."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable, Mapping

import anyio
import anyio.lowlevel
from msgspec import UNSET

from guestmux_eventd.changes import Changes
from guestmux_eventd.session_table import Emission
from guestmux_protocol import rtnetlink
from guestmux_protocol.events import NetworkAddress, NetworkChanged, NetworkInterface
from guestmux_protocol.rtnetlink import Address, Link, Message, Wanted
from guestmux_transport.edge import edge_poller
from guestmux_transport.rtnetlink import MAX_ATTEMPTS, MAX_DATAGRAM, netlink_socket
from guestmux_transport.socket_activation import passed_fds

QUIET_SECONDS = 0.5
"""A change is told when nothing else changed for so long: a link that comes up gets its addresses one by one."""

MAX_QUIET_SECONDS = 5.0
"""...and after this in any case: containers that come and go without end must not hide what else changes."""

ANSWER_SECONDS = 5.0
"""Until the kernel answered; after that it is asked again at the next change."""

MAX_INTERFACES = 256
"""Interfaces that one event tells of: more than any desktop has, few enough for a line that hosts read in one go."""

MAX_ADDRESSES = 64
"""Addresses of one interface that it tells of."""

MAX_MESSAGES = 65_536
"""Messages of one list that are kept: far more than an event tells of."""

MAX_NOTICES_PER_TURN = 64
"""Datagrams read before other tasks get their turn."""

ACTIVATED_NAME = "guestmux-netlink"
"""FileDescriptorName= in guestmux-netlink.socket."""

logger = logging.getLogger(__name__)


def open_netlink(environment: Mapping[str, str]) -> socket.socket:
    """A socket that hears of the machine's links and addresses.

    eventd has no network, and may make no such socket: systemd does (guestmux-netlink.socket). Where it did not, as in
    an eventd that is run by hand, it is one of the network that eventd itself is in.

    Args:
        environment: where systemd says what it passed.

    Raises:
        OSError: it may not be had.
    """
    for name, fd in passed_fds(environment):
        if name == ACTIVATED_NAME:
            return socket.socket(fileno=fd)
    return netlink_socket(rtnetlink.MULTICAST_GROUPS)


class NetworkSource:
    """Follows the network namespace that its socket was made in; eventd's own has no network.

    Args:
        netlink: an rtnetlink socket that gets MULTICAST_GROUPS; closed by `run`.
        publish: takes what changed.
    """

    def __init__(self, netlink: socket.socket, publish: Callable[[list[Emission]], object]) -> None:
        self._netlink = netlink
        self._publish = publish
        self._readable = Changes()
        self._changed = Changes()
        self._stale = True
        self._sequence = 0
        self._dump: list[Message] = []
        self._told: NetworkChanged | None = None

    def __repr__(self) -> str:
        return f"<NetworkSource {len(self._told.interfaces) if self._told else 'no'} interfaces>"

    async def run(self) -> None:
        """Publish changes, until cancelled."""
        self._netlink.setblocking(False)
        watch = edge_poller().watch(self._netlink.fileno(), lambda _events: self._readable.notify())
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read)
                await self._follow()
        finally:
            watch.stop()
            self._netlink.close()

    async def _follow(self) -> None:
        while True:
            while not self._stale:
                await self._changed.wait()
            if self._told is not None:
                await self._changed.come_to_rest(QUIET_SECONDS, MAX_QUIET_SECONDS)
            self._stale = False
            await self._look()

    async def _look(self) -> None:
        try:
            links = rtnetlink.links(await self._ask("links"))
            now = network(links, rtnetlink.addresses(await self._ask("addresses")))
        except OSError as error:
            logger.warning("the kernel does not tell the network's addresses: %s", error)
            return
        if self._told is not None and now != self._told:
            self._publish([("NETWORK_CHANGED", now)])
        self._told = now

    async def _ask(self, wanted: Wanted) -> list[Message]:
        """A whole list, asked for again where it changed meanwhile. Raises OSError."""
        for _ in range(MAX_ATTEMPTS):
            dump = await self._ask_once(wanted)
            if not any(message.interrupted for message in dump):
                break
        return dump

    async def _ask_once(self, wanted: Wanted) -> list[Message]:
        self._sequence += 1
        self._dump = []
        self._netlink.sendto(rtnetlink.request(wanted, self._sequence), (0, 0))
        with anyio.move_on_after(ANSWER_SECONDS):
            while not (self._dump and self._dump[-1].ends):
                await self._changed.wait()
            if code := self._dump[-1].error:
                raise OSError(code, os.strerror(code))
            return self._dump
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    async def _read(self) -> None:
        while True:
            while self._read_some():
                await anyio.lowlevel.checkpoint()
            await self._readable.wait()

    def _read_some(self) -> bool:
        """Take a turn's share of datagrams; whether there may be more."""
        for _ in range(MAX_NOTICES_PER_TURN):
            try:
                data, (sender, _groups) = self._netlink.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._note_change()  # notices were lost; the whole list is looked at in any case
                continue
            if sender == 0:  # any process may send to this socket; only the kernel is 0
                self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        for message in rtnetlink.messages(data):
            if message.changed:
                self._note_change()
            elif message.sequence == self._sequence:
                self._answered(message)

    def _answered(self, message: Message) -> None:
        if len(self._dump) < MAX_MESSAGES:
            self._dump.append(message)
        if message.ends:
            self._changed.notify()

    def _note_change(self) -> None:
        self._stale = True
        self._changed.notify()


def network(links: list[Link], addresses: list[Address]) -> NetworkChanged:
    """The event that tells of these, in the kernel's order."""
    of_link: dict[int, list[NetworkAddress]] = {}
    for address in addresses:
        entry = NetworkAddress(ip_address=address.text, ip_address_type=address.family, prefix=address.prefix)
        of_link.setdefault(address.index, []).append(entry)
    shown = links[:MAX_INTERFACES]
    truncated = len(shown) < len(links) or any(len(found) > MAX_ADDRESSES for found in of_link.values())
    interfaces = [_interface(link, of_link.get(link.index, [])) for link in shown]
    return NetworkChanged(interfaces=interfaces, truncated=truncated)


def _interface(link: Link, addresses: list[NetworkAddress]) -> NetworkInterface:
    return NetworkInterface(
        name=link.name,
        up=link.up,
        hardware_address=link.hardware_address.hex(":") if any(link.hardware_address) else UNSET,
        ip_addresses=addresses[:MAX_ADDRESSES],
    )
