"""Hosts' programs at a real chardev: stock qmp-shell, guestmux's command line and its SDK."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import guestmux
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.noguest.machine import NoGuest
from tests.support.standin_logind import standin_logind

pytestmark = pytest.mark.anyio

QMP_SHELL = str(Path(sys.executable).with_name("qmp-shell"))

GUESTMUX_FAILED = 125


async def said(*command: str, typed: str = "", status: int = 0) -> str:
    """What a program prints; it must end with this status."""
    result = await anyio.run_process(command, input=typed.encode(), stderr=subprocess.STDOUT, check=False)
    printed = result.stdout.decode()
    assert result.returncode == status, printed
    return printed


async def ping(qemu: NoGuest, port: str, *options: str, status: int = 0) -> str:
    address = f"unix:{qemu.chardev(port)}"
    return await said(sys.executable, "-m", "guestmux", "-c", address, *options, "ping", status=status)


@pytest.mark.usefixtures("eventd")
async def test_qmp_shell_is_greeted_and_runs_commands(qemu: NoGuest) -> None:
    typed = "guest-ping\nguest-event-subscribe events=['SESSION_*']\nguest-nonsense\n"
    printed = await said(QMP_SHELL, qemu.chardev("qmp"), typed=typed)
    assert "Connected to QEMU 0.1.0" in printed
    assert '{"return": {}}' in printed
    assert '"snapshot": {"sessions": []}' in printed
    assert "The command guest-nonsense has not been found" in printed


@pytest.mark.usefixtures("eventd")
async def test_qmp_shell_without_negotiation_on_the_qga_port(qemu: NoGuest) -> None:
    printed = await said(QMP_SHELL, "-N", qemu.chardev("qga"), typed="guest-sync id=42\n")
    assert '{"return": 42}' in printed


@pytest.mark.usefixtures("eventd")
async def test_qmp_shell_shows_events(bus: PrivateBus, qemu: NoGuest) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = await anyio.open_process([QMP_SHELL, qemu.chardev("qmp")], env=environment)
    async with process, standin_logind(bus.address) as logind:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdin.send(b"guest-event-subscribe\n")
        printed = b""
        while b"snapshot" not in printed:
            printed += await process.stdout.receive()
        await logind.control.login("bob", 1001)
        while b"SESSION_LOGIN" not in printed:
            await process.stdin.send(b"\n")  # it shows events when an empty line was typed
            printed += await process.stdout.receive()
        process.terminate()


@pytest.mark.parametrize("port", ["qmp", "qga"])
async def test_nobody_behind_the_port_is_a_clear_error_in_time(
    bus: PrivateBus, qemu: NoGuest, at_ports: list[str], port: str
) -> None:
    printed = await ping(qemu, port, "--connect-timeout", "0.5", status=GUESTMUX_FAILED)
    assert "0.5" in printed
    assert "Traceback" not in printed
    with pytest.raises(guestmux.GuestmuxError, match=r"0\.5"):
        async with guestmux.connect(f"unix:{qemu.chardev(port)}", timeout=0.5):
            pass
    with running_eventd(bus.address, *at_ports):
        assert "reply from" in await ping(qemu, port)


async def test_the_sdk_on_both_ports(qemu: NoGuest, eventd: Eventd) -> None:
    assert eventd.process.poll() is None
    for port, mux, dialect in (("qmp", True, "mux"), ("qmp", False, "qmp"), ("qga", True, "qga")):
        async with guestmux.connect(f"unix:{qemu.chardev(port)}", mux=mux) as guest:
            await guest.ping()
            assert guest.dialect == dialect
