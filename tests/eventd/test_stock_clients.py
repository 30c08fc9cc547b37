"""Peers' own clients, unchanged: qmp-shell and qemu.qmp on both ports, and what Proxmox and libvirt send."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from qemu.qmp import EventListener, ExecuteError, QMPClient

from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd
from tests.support.standin_logind import standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

QMP_SHELL = Path(sys.executable).with_name("qmp-shell")


async def qmp_shell(text: str, *arguments: str) -> str:
    """What qmp-shell prints when this is typed."""
    result = await anyio.run_process(
        [str(QMP_SHELL), *arguments], input=text.encode(), stderr=subprocess.STDOUT, check=False
    )
    return result.stdout.decode()


async def test_qmp_shell_on_the_qmp_port(eventd: Eventd) -> None:
    typed = "guest-ping\nquery-version\nguest-event-subscribe events=['SESSION_*']\nguest-nonsense\n"
    printed = await qmp_shell(typed, eventd.qmp)
    assert "Connected to QEMU 0.1.0" in printed
    assert '{"return": {}}' in printed
    assert '"package": "guestmux-' in printed
    assert '"snapshot": {"sessions": []}' in printed
    assert "The command guest-nonsense has not been found" in printed


async def test_qmp_shell_without_negotiation_on_the_qga_port(eventd: Eventd) -> None:
    printed = await qmp_shell("guest-sync id=42\nguest-info\n", "-N", eventd.qga)
    assert '{"return": 42}' in printed
    assert "supported_commands" in printed


async def test_qemu_qmp_gets_events_in_its_listener(bus: PrivateBus, eventd: Eventd) -> None:
    client = QMPClient("guest")
    await client.connect(eventd.qmp)
    with client.listen(listener := EventListener("SESSION_LOGIN")):
        await client.execute("guest-event-subscribe", {"events": ["*"]})
        async with standin_logind(bus.address) as logind:
            session = await logind.control.login("bob", 1001)
            event = dict(await listener.get())
    assert session in str(event["data"])
    with pytest.raises(ExecuteError, match="not been found"):
        await client.execute("guest-nonsense")
    await client.disconnect()


async def test_qemu_qmp_without_a_greeting_on_the_qga_port(eventd: Eventd) -> None:
    client = QMPClient("guest")
    client.await_greeting = False
    client.negotiate = False
    await client.connect(eventd.qga)
    assert await client.execute("guest-sync", {"id": 7}) == 7
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client.execute, "guest-ping")
    await client.disconnect()


async def test_proxmox_takes_the_second_line_after_the_mark(eventd: Eventd) -> None:
    """PVE/QMPClient.pm writes sync and command at once and takes exactly two lines after the last 0xFF."""
    host = await eventd.qga_host()
    sync = b'{"execute":"guest-sync-delimited","arguments":{"id":12},"id":"120"}'
    await host.send(sync + b'{"execute":"guest-ping","id":"121"}')
    received = await host.line() + b"\n" + await host.line() + b"\n"
    match = re.match(rb"^.*\xff([^\n]+}\r?\n[^\n]+})\r?\n(.*)$", received, re.DOTALL)
    assert match is not None
    assert match[1].splitlines()[1] == b'{"return": {}, "id": "121"}'


async def test_libvirt_syncs_without_a_mark_and_reads_line_by_line(eventd: Eventd) -> None:
    """qemu_agent.c: guest-sync with the time in milliseconds, no `id` member, then one command at a time."""
    host = await eventd.qga_host()
    await host.send(b'{"execute":"guest-sync", "arguments":{"id":1763856000123}}\n')
    assert await host.line() == b'{"return": 1763856000123}'
    await host.send(b'{"execute":"guest-get-users"}\n')
    assert await host.line() == b'{"return": []}'
