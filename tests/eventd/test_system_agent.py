"""eventd as a process, with a bare agent of root's for the whole machine: no reply, policy, freeze, the record."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from guestmux_transport.bus_exports import IncomingCall
from guestmux_transport.values import to_json
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.getuid() != 0, reason="only root's agent serves the system"),
]

COMMANDS = [
    *("guest-exec", "guest-exec-status", "guest-exec-close", "guest-shutdown", "guest-get-time"),
    *("guest-fsfreeze-freeze", "guest-fsfreeze-thaw", "guest-fsfreeze-status"),
]
POLICY = '[[policy]]\nport = "unix-listen:*qga"\ndeny = ["guest-get-time"]\n'
RESULTS: dict[str, Any] = {
    "guest-exec": {"pid": 7},
    "guest-exec-status": {"exited": True},
    "guest-exec-close": {},
    "guest-shutdown": {},
    "guest-get-time": 5,
    "guest-fsfreeze-freeze": 2,
    "guest-fsfreeze-thaw": 2,
    "guest-fsfreeze-status": "thawed",
}


@pytest.fixture
def eventd(bus: PrivateBus, tmp_path: Path) -> Any:
    (tmp_path / "eventd.toml").write_text(POLICY)
    with running_eventd(bus.address, "--config", str(tmp_path / "eventd.toml")) as eventd:
        yield eventd


@pytest.fixture
async def agent(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    async with bare_agent(bus.address) as agent:
        agent.behave = lambda call: RESULTS[call.body[0]]
        await agent.register(commands=("as", COMMANDS), session=("s", "system"))
        yield agent


async def test_a_success_that_nobody_waits_for_is_not_answered(eventd: Eventd, agent: BareAgent) -> None:
    host = await eventd.qga_host()
    await host.send(b'{"execute": "guest-shutdown"}{"execute": "guest-ping", "id": 1}')
    assert await host.message() == {"return": {}, "id": 1}
    assert "guest-shutdown" in agent.called
    wrong = await host.ask("guest-shutdown", mode=1)
    assert wrong["error"]["desc"] == "Invalid parameter type for 'mode', expected: string"


async def test_pids_are_eventd_s_and_the_next_connection_of_a_qga_port_knows_them(
    eventd: Eventd, agent: BareAgent
) -> None:
    host = await eventd.qga_host()
    pid = (await host.ask("guest-exec", path="/bin/true"))["return"]["pid"]
    assert pid != 7
    host.close()
    seen: list[Any] = []

    def status(call: IncomingCall) -> Any:
        seen.append(to_json(call.body[1]))
        return RESULTS[call.body[0]]

    agent.behave = status
    next_host = await eventd.qga_host()
    assert (await next_host.ask("guest-exec-status", pid=pid))["return"] == {"exited": True}
    assert seen == [{"pid": 7}]
    error = (await next_host.ask("guest-exec-status", pid=pid))["error"]
    assert error == {"class": "GenericError", "desc": f"PID {pid} does not exist"}


async def test_what_a_qmp_host_leaves_behind_is_let_go(eventd: Eventd, agent: BareAgent) -> None:
    host, other = await eventd.qmp_host(), await eventd.qga_host()
    await host.ask("guest-exec", path="/bin/cat")
    host.close()
    while "guest-exec-close" not in agent.called:
        await other.ask("guest-ping")


async def test_policy_is_by_port_and_guest_info_says_so(eventd: Eventd, agent: BareAgent) -> None:
    qga, qmp = await eventd.qga_host(), await eventd.qmp_host()
    assert (await qmp.ask("guest-get-time"))["return"] == 5
    error = (await qga.ask("guest-get-time"))["error"]
    text = "The command guest-get-time has been disabled: the command is not allowed"
    assert error == {"class": "CommandNotFound", "desc": text}
    assert not await enabled(qga, "guest-get-time")
    assert await enabled(qmp, "guest-get-time")
    assert "guest-get-time refused in system" in eventd.log


async def test_while_frozen_nothing_is_logged_and_all_of_it_after_the_thaw(
    eventd: Eventd, agent: BareAgent
) -> None:
    host = await eventd.qga_host()
    assert (await host.ask("guest-fsfreeze-freeze"))["return"] == 2
    before = eventd.log
    assert "frozen state" in (await host.ask("guest-exec", path="/x"))["error"]["desc"]
    assert (await host.ask("guest-ping"))["return"] == {}
    assert not await enabled(host, "guest-exec")
    assert eventd.log == before
    assert (await host.ask("guest-fsfreeze-thaw"))["return"] == 2
    assert await enabled(host, "guest-exec")
    assert "guest-exec refused in system" in eventd.log.removeprefix(before)
    assert "guest-fsfreeze-freeze in system by 'org.example.bare': done" in eventd.log


async def enabled(host: RawHost, command: str) -> bool:
    listed = (await host.ask("guest-info"))["return"]["supported_commands"]
    (entry,) = [entry for entry in listed if entry["name"] == command]
    return bool(entry["enabled"])
