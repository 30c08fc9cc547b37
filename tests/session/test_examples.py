"""The examples run as they are."""

import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import anyio
import pytest

from guestmux_session.check import life_checks
from guestmux_session.check.examination import examine
from guestmux_session.check.findings import Finding, Status
from guestmux_transport.errors import CallError
from guestmux_transport.mux_errors import MuxRefused
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import running_eventd
from tests.support.standin_logind import standin_logind
from tests.support.standin_manager import StandinManager, standin_manager

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "examples"


@asynccontextmanager
async def example(
    system_bus: PrivateBus, name: str, *, channel_out: str = ""
) -> AsyncIterator[StandinManager]:
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": system_bus.address}
    async with standin_manager(system_bus.address, channel_out=channel_out) as manager:
        command = [sys.executable, str(EXAMPLES / name)]
        async with await anyio.open_process(command, env=environment, stdout=DEVNULL, stderr=None) as process:
            try:
                yield manager
            finally:
                process.terminate()


async def test_the_clock(system_bus: PrivateBus) -> None:
    async with example(system_bus, "clock_agent.py") as manager:
        agent = await manager.agent("org.example.clock")
        assert (await manager.call(agent, "__org.example_time")).endswith("+00:00")
        with pytest.raises(CallError, match="no time zone 'Nowhere' here"):
            await manager.call(agent, "__org.example_time", {"zone": "Nowhere"})
        assert list(agent.events) == ["__org.example_TICKED"]


async def test_the_agent_of_plain_messages(system_bus: PrivateBus) -> None:
    async with example(system_bus, "bare_dbus_agent.py") as manager:
        agent = await manager.agent("org.example.hostname")
        assert await manager.call(agent, "__org.example_hostname") == socket.gethostname()


async def test_the_smallest(system_bus: PrivateBus) -> None:
    assert len((EXAMPLES / "hello_agent.py").read_text().splitlines()) <= 15
    async with example(system_bus, "hello_agent.py") as manager:
        agent = await manager.agent("org.example.hello")
        assert await manager.call(agent, "__org.example_hello") == "Hello, world!"
        assert await manager.call(agent, "__org.example_hello", {"who": "you"}) == "Hello, you!"


@pytest.mark.parametrize(
    ("file", "name", "call"),
    [
        ("hello_agent.py", "org.example.hello", "__org.example_hello"),
        ("clock_agent.py", "org.example.clock", "__org.example_time"),
        ("bare_dbus_agent.py", "org.example.hostname", "__org.example_hostname"),
        ("log_tail_agent.py", "org.example.log-tail", None),
    ],
)
async def test_they_do_what_agents_have_to(
    file: str, name: str, call: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life_checks, "CALM_SECONDS", 0.2)
    findings: list[Finding] = []
    command = [sys.executable, str(EXAMPLES / file)]
    await examine(name, command, [(call, {})] if call else [], findings.append)
    assert [finding for finding in findings if finding.status is Status.FAIL] == []
    assert findings[-1].check == "end"


async def test_the_script(system_bus: PrivateBus) -> None:
    async with standin_logind(system_bus.address) as logind:
        await logind.control.login("tester", os.getuid(), id="c1")
        with running_eventd(system_bus.address) as eventd:
            host = await eventd.qmp_host()
            await host.subscribe("__*")
            environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": system_bus.address}
            await anyio.run_process([str(EXAMPLES / "backup_done.sh"), "home", "123456"], env=environment)
            event = await host.event("__org.example_BACKUP_DONE")
            assert (event["volume"], event["bytes"], event["agent"]) == ("home", 123456, "org.example.backup")


async def test_the_log_tail(system_bus: PrivateBus, tmp_path: Path) -> None:
    (log := tmp_path / "log").write_bytes(b"x" * 50 + b"old")
    async with example(system_bus, "log_tail_agent.py", channel_out="ha{sv}") as manager:
        channel = await manager.channel()
        with pytest.raises(MuxRefused, match="cannot open /nowhere: No such file"):
            await channel.open("__org.example_tail", {"path": "/nowhere"})
        async with await channel.open("__org.example_tail", {"path": str(log), "back": 3}) as stream:
            assert json.loads(stream.reply) == {"size": 53}
            assert await stream.receive() == b"old"
            with log.open("ab") as file:
                file.write(b"new")
            assert await stream.receive() == b"new"
