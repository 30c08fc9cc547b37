"""What the clients in use send, byte for byte, and how they read what comes back."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import anyio
import pytest
from qemu.qmp import ExecuteError, QMPClient

from tests.support.agents import Client
from tests.support.qga_servers import QgaServer

PROXMOX_REPLY = re.compile(rb"^.*\xff([^\n]+}\r?\n[^\n]+})\r?\n(.*)$", re.DOTALL)
"""How PVE/QMPClient.pm finds the sync's reply and the command's: two lines after the last 0xFF, and the rest."""


def proxmox(server: QgaServer, command: str, **arguments: Any) -> Any:
    """One command as Proxmox gives it: a connection of its own, sync and command in one write."""
    sync = {"execute": "guest-sync-delimited", "arguments": {"id": 12}, "id": "12345:120"}
    request = {"execute": command, "arguments": arguments, "id": "12345:121"}
    with server.connect() as host:
        host.send(json.dumps(sync).encode() + json.dumps(request).encode())
        received = b""
        while not (match := PROXMOX_REPLY.match(received)):
            received += host.line() + b"\n"
        assert match[2] == b""
    synced, reply = (json.loads(line) for line in match[1].splitlines())
    assert synced == {"return": 12, "id": "12345:120"}
    assert reply.pop("id") == "12345:121"
    return reply


def test_proxmox_pings_executes_and_asks_on_connections_of_their_own(server: QgaServer) -> None:
    assert proxmox(server, "guest-ping") == {"return": {}}
    arguments = {"path": "echo", "arg": ["hello"], "capture-output": True}
    pid = proxmox(server, "guest-exec", **arguments)["return"]["pid"]
    deadline = time.monotonic() + 60
    while not (status := proxmox(server, "guest-exec-status", pid=pid)["return"])["exited"]:
        assert time.monotonic() < deadline
    assert status == {"exited": True, "exitcode": 0, "out-data": "aGVsbG8K", "out-truncated": False}
    assert proxmox(server, "guest-nonsense")["error"]["class"] == "CommandNotFound"


def test_proxmox_reads_a_file_over_several_connections(server: QgaServer) -> None:
    """PVE::API2::Qemu::Agent: open, read 16 MiB at the most, close."""
    handle = proxmox(server, "guest-file-open", path="/etc/hostname")["return"]
    read = proxmox(server, "guest-file-read", handle=handle, count=16 * 1024 * 1024)["return"]
    assert read["eof"] is True
    assert proxmox(server, "guest-file-close", handle=handle) == {"return": {}}
    assert "error" in proxmox(server, "guest-file-read", handle=handle)


def libvirt_sync(host: Client) -> None:
    """qemu_agent.c: guest-sync with the time in milliseconds, no `id` member, and a line break after each command."""
    number = int(time.time() * 1000)
    host.send(b'{"execute":"guest-sync", "arguments":{"id":%d}}\n' % number)
    assert json.loads(host.line()) == {"return": number}


def test_libvirt_syncs_and_reads_line_by_line(host: Client) -> None:
    for command in ("guest-get-host-name", "guest-get-time", "guest-get-osinfo", "guest-get-timezone"):
        libvirt_sync(host)
        host.send(b'{"execute":"%s"}\n' % command.encode())
        assert json.loads(host.line()).keys() == {"return"}


def test_libvirt_finds_its_place_after_garbage(host: Client) -> None:
    """Its first sync tolerates one line that is none of its business, and sends a second."""
    host.send(b'{"execute":"guest-pi\n')
    assert b"error" in host.line()
    libvirt_sync(host)


LIBVIRTS = ("guest-get-fsinfo", "guest-get-users", "guest-get-vcpus", "guest-network-get-interfaces")


@pytest.mark.parametrize("command", LIBVIRTS)
def test_libvirts_lists(host: Client, command: str) -> None:
    libvirt_sync(host)
    host.send(b'{"execute":"%s"}\n' % command.encode())
    reply = json.loads(host.line())
    assert isinstance(reply.get("return"), list), reply


@pytest.mark.anyio
async def test_qemu_qmp_sends_no_newline(server: QgaServer) -> None:
    client = QMPClient("guest")
    client.await_greeting = client.negotiate = False
    await client.connect(server.path)
    assert await client.execute("guest-sync", {"id": 7}) == 7
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client.execute, "guest-ping")
    with pytest.raises(ExecuteError, match="not been found"):
        await client.execute("guest-nonsense")
    await client.disconnect()
