"""NETWORK_CHANGED from the real kernel, in a network namespace of the test's own."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import anyio
import msgspec
import pytest

from guestmux_eventd import network_source
from guestmux_eventd.network_source import MAX_ADDRESSES, MAX_INTERFACES, NetworkSource, network
from guestmux_eventd.session_table import Emission
from guestmux_protocol.events import NetworkChanged
from guestmux_protocol.rtnetlink import Address, Link
from tests.support.netlink_messages import link, message
from tests.support.network_namespace import NetworkNamespace, network_namespace

pytestmark = pytest.mark.anyio

LOOPBACK = {
    "name": "lo",
    "up": True,
    "ip-addresses": [
        {"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8},
        {"ip-address": "::1", "ip-address-type": "ipv6", "prefix": 128},
    ],
}


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    with network_namespace() as namespace:
        yield namespace


class Told:
    """What a source published."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[NetworkChanged](100)

    def publish(self, emissions: list[Emission]) -> None:
        for name, data in emissions:
            assert name == "NETWORK_CHANGED"
            assert isinstance(data, NetworkChanged)
            self._send.send_nowait(data)

    async def next(self) -> list[object]:
        return list(msgspec.to_builtins((await self._receive.receive()).interfaces))

    def close(self) -> None:
        self._send.close()
        self._receive.close()

    @property
    def empty(self) -> bool:
        return self._receive.statistics().current_buffer_used == 0


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told = Told()
    yield told
    told.close()


async def looked(source: NetworkSource) -> None:
    while "no interfaces" in repr(source):  # noqa: ASYNC110 - the kernel's answer, of which nobody else is told
        await anyio.sleep(0.01)


async def test_links_and_addresses_come_and_go(namespace: NetworkNamespace, told: Told) -> None:
    source = NetworkSource(namespace.netlink(), told.publish)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        await looked(source)
        namespace.switch(on=True)
        assert await told.next() == [LOOPBACK]
        namespace.add_address("lo:1", "192.0.2.7")
        [after] = await told.next()
        assert isinstance(after, dict)
        assert {"ip-address": "192.0.2.7", "ip-address-type": "ipv4", "prefix": 24} in after["ip-addresses"]
        namespace.switch(on=False)
        [down] = await told.next()
        assert isinstance(down, dict)
        assert down["up"] is False
        tasks.cancel_scope.cancel()
    assert told.empty


async def test_what_is_again_as_it_was_is_not_told(namespace: NetworkNamespace, told: Told) -> None:
    source = NetworkSource(namespace.netlink(), told.publish)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        await looked(source)
        for _ in range(50):
            namespace.switch(on=True)
            namespace.switch(on=False)
        namespace.switch(on=True)
        assert await told.next() == [LOOPBACK]
        tasks.cancel_scope.cancel()
    assert told.empty


async def test_lost_notices_cost_nothing(namespace: NetworkNamespace, told: Told) -> None:
    netlink = namespace.netlink()
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    # More than the socket holds, before anybody reads: recvfrom answers ENOBUFS.
    for _ in range(100):
        namespace.switch(on=True)
        namespace.switch(on=False)
    source = NetworkSource(netlink, told.publish)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        await looked(source)
        namespace.switch(on=True)
        assert await told.next() == [LOOPBACK]
        tasks.cancel_scope.cancel()


async def test_a_list_that_never_comes_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, told: Told
) -> None:
    monkeypatch.setattr(network_source, "ANSWER_SECONDS", 0.01)
    deaf, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    source = NetworkSource(Deaf(deaf), told.publish)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        while not caplog.messages:  # noqa: ASYNC110 - a log tells nobody
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    _other.close()
    assert caplog.messages[0].startswith("the kernel does not tell the network's addresses")


class Deaf(socket.socket):
    """A datagram socket that takes questions to the kernel, and answers none."""

    def __init__(self, pair: socket.socket) -> None:
        super().__init__(fileno=pair.detach())

    def sendto(self, data: bytes, *_more: object) -> int:  # type: ignore[override]
        return len(data)


def test_only_the_kernel_is_believed() -> None:
    source = NetworkSource(
        Forged([(link(1, "forged"), 4711), (message(16, b"", 0), 4711)]), lambda _emissions: None
    )
    source._stale = False
    assert not source._read_some()
    assert not source._stale


class Forged(socket.socket):
    """A socket with datagrams of other processes."""

    def __init__(self, data: list[tuple[bytes, int]]) -> None:
        self._data = data

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[int, int]]:  # type: ignore[override]
        if not self._data:
            raise BlockingIOError
        data, sender = self._data.pop(0)
        return data, (sender, 0)


def test_an_event_is_bounded() -> None:
    links = [Link(index, f"veth{index}", bytes(6), up=True) for index in range(MAX_INTERFACES + 1)]
    assert network(links[:-1], []).truncated is False
    assert network(links, []).truncated is True
    assert len(network(links, []).interfaces) == MAX_INTERFACES
    many = [Address(0, "ipv4", "192.0.2.1", 32, "") for _ in range(MAX_ADDRESSES + 1)]
    assert network(links[:1], many).truncated is True
    assert len(network(links[:1], many).interfaces[0].ip_addresses) == MAX_ADDRESSES
