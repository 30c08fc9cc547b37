"""eventd at a real port of QEMU's: hosts come to the chardev and leave it, and eventd comes and leaves."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from qemu.qmp import EventListener, QMPClient

from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.noguest.machine import PORTS, NoGuest

pytestmark = pytest.mark.anyio

HOSTS = 100

MEMORY_LEEWAY = 20 << 20
"""Bytes: far less than a hundred times what a host costs."""

LAST_WORDS = (b"", b'{"execute": "guest-pi', b'{"execute": "guest-info"}')

SYNC = b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": 77}}'


@asynccontextmanager
async def monitor_events(qemu: NoGuest, name: str) -> AsyncIterator[EventListener]:
    """Listen to events of QEMU's own."""
    client = QMPClient()
    await client.connect(qemu.monitor)
    with client.listen(listener := EventListener(name)):
        yield listener
    await client.disconnect()


async def next_change(listener: EventListener) -> tuple[str, bool]:
    """The port and whether it was opened, of the next VSERPORT_CHANGE."""
    data: Any = (await listener.get())["data"]
    return data["id"], data["open"]


async def synced(host: RawHost) -> None:
    """Skip to the answer of a sync."""
    await host.send(SYNC)
    while await host.line() != b'\xff{"return": 77}':
        pass


@pytest.mark.usefixtures("eventd")
async def test_a_host_is_greeted(qemu: NoGuest) -> None:
    with closing(await RawHost.connect(qemu.chardev("qmp"))) as host:
        await host.negotiate("oob")
        assert (await host.ask("guest-ping"))["return"] == {}


@pytest.mark.usefixtures("eventd")
async def test_the_qga_port_answers_a_plain_sync_and_is_silent_before(qemu: NoGuest) -> None:
    with closing(await RawHost.connect(qemu.chardev("qga"))) as host:
        await host.send(b'{"execute":"guest-sync", "arguments":{"id":1763856000123}}\n')
        assert await host.line() == b'{"return": 1763856000123}'
        assert host.nothing_more()


@pytest.mark.timeout(90)  # eventd waits a tenth of a second before it connects again
async def test_a_hundred_hosts_that_come_and_leave(qemu: NoGuest, eventd: Eventd) -> None:
    memory = eventd.memory
    for number in range(HOSTS):
        with closing(await RawHost.connect(qemu.chardev("qga"))) as host:
            await synced(host)
            await host.send(LAST_WORDS[number % len(LAST_WORDS)])
    assert eventd.memory - memory < MEMORY_LEEWAY


async def test_both_ports_serve_their_hosts_at_once(qemu: NoGuest, eventd: Eventd) -> None:
    assert eventd.process.poll() is None
    with (
        closing(await RawHost.connect(qemu.chardev("qmp"))) as qmp,
        closing(await RawHost.connect(qemu.chardev("qga"))) as qga,
    ):
        await qmp.negotiate()
        assert (await qga.ask("guest-ping"))["return"] == {}
        assert (await qmp.ask("guest-ping"))["return"] == {}


async def test_a_host_that_was_there_before_eventd(
    bus: PrivateBus, qemu: NoGuest, at_ports: list[str]
) -> None:
    with (
        closing(await RawHost.connect(qemu.chardev("qmp"))) as qmp,
        closing(await RawHost.connect(qemu.chardev("qga"))) as qga,
    ):
        await qga.send(b'{"execute": "guest-ping", "id": "early"}')
        with running_eventd(bus.address, *at_ports):
            await qmp.negotiate()
            assert await qga.message() == {"return": {}, "id": "early"}


async def test_a_host_stays_while_eventd_is_killed_and_started_again(qemu: NoGuest, eventd: Eventd) -> None:
    with closing(await RawHost.connect(qemu.chardev("qmp"))) as host:
        await host.negotiate()
        async with monitor_events(qemu, "VSERPORT_CHANGE") as changes:
            eventd.stop(signal.SIGKILL)
            assert {await next_change(changes), await next_change(changes)} == {
                ("qmp", False),
                ("qga", False),
            }
        eventd.start()
        await host.negotiate()
        assert (await host.ask("guest-ping"))["return"] == {}


async def test_qemu_tells_when_eventd_opens_and_closes_a_port(
    bus: PrivateBus, qemu: NoGuest, at_ports: list[str]
) -> None:
    async with monitor_events(qemu, "VSERPORT_CHANGE") as changes:
        with running_eventd(bus.address, *at_ports):
            assert {await next_change(changes), await next_change(changes)} == {
                (port, True) for port in PORTS
            }
        assert {await next_change(changes), await next_change(changes)} == {(port, False) for port in PORTS}


async def test_a_hosts_coming_and_leaving_does_not_open_or_close_the_port(
    qemu: NoGuest, eventd: Eventd
) -> None:
    async with monitor_events(qemu, "VSERPORT_CHANGE") as changes:
        for _ in range(3):
            with closing(await RawHost.connect(qemu.chardev("qga"))) as host:
                await synced(host)
        eventd.stop()
        assert (await next_change(changes))[1] is False
        eventd.start()
