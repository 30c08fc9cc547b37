"""The examples in C and JavaScript: built, run, and looked at by the checker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import running_eventd
from tests.support.host import RawHost
from tests.support.needed_programs import need_programs
from tests.support.standin_logind import standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

EXAMPLES = Path(__file__).parents[2] / "examples"
LOW = "__org.example_MEMORY_LOW"


@pytest.fixture
async def host(system_bus: PrivateBus) -> AsyncIterator[RawHost]:
    async with standin_logind(system_bus.address) as logind:
        await logind.control.login("tester", os.getuid(), id="c1")
        with running_eventd(system_bus.address) as eventd:
            yield await eventd.qmp_host()


@pytest.fixture
def load_agent(tmp_path: Path) -> Path:
    need_programs("gcc", "pkg-config")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libsystemd"], check=True, capture_output=True, text=True
    )
    program = tmp_path / "load_agent"
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(EXAMPLES / "load_agent.c")]
    subprocess.run([*command, *flags.stdout.split()], check=True)
    return program


async def checked(name: str, call: str, *program: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "guestmux_session", "check-agent", name, "--json", "--call", call]
    done = await anyio.run_process([*command, "--", *program], check=False)
    return {finding["check"]: finding for finding in map(json.loads, done.stdout.splitlines())}


def failures(findings: dict[str, Any]) -> list[Any]:
    return [finding for finding in findings.values() if finding["status"] == "FAIL"]


async def test_c(system_bus: PrivateBus, host: RawHost, load_agent: Path) -> None:
    findings = await checked("org.example.load", "__org.example_load", str(load_agent))
    assert failures(findings) == []
    assert findings["__org.example_load"]["status"] == "PASS"
    await host.subscribe("AGENT_REGISTERED")
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": system_bus.address}
    async with await anyio.open_process([str(load_agent)], env=environment, stderr=None) as process:
        assert (await host.event("AGENT_REGISTERED"))["agent"] == "org.example.load"
        assert (await host.ask("__org.example_load", session="c1"))["return"] >= 0
        process.terminate()


async def test_javascript(system_bus: PrivateBus, host: RawHost) -> None:
    need_programs("gjs")
    program = ["gjs", "-m", str(EXAMPLES / "memory_agent.js")]
    findings = await checked("org.example.memory", "__org.example_memory", *program)
    assert failures(findings) == []
    await host.subscribe("AGENT_REGISTERED")
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": system_bus.address}
    # Everything is little to it, so that it says so as soon as a host wants to know.
    async with await anyio.open_process([*program, str(1 << 50)], env=environment, stderr=None) as process:
        assert (await host.event("AGENT_REGISTERED"))["agent"] == "org.example.memory"
        assert (await host.ask("__org.example_memory", session="c1"))["return"] > 0
        await host.subscribe("__*")
        assert (await host.event(LOW))["available"] > 0
        process.terminate()
