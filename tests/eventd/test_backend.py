"""The backend beside a real qemu-ga that is killed, stopped and started again."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.backend import MAX_QUEUED, QemuGaBackend
from guestmux_eventd.changes import Changes
from guestmux_eventd.config import ConfigError, make_config
from guestmux_eventd.identity import BACKEND
from guestmux_eventd.policy import Policy, PolicyRule
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.addresses import UnixConnect
from guestmux_protocol.messages import COMMAND_NOT_FOUND
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import running_eventd
from tests.support.fake_agents import FakeAgents, fake_agent
from tests.support.host import RawHost
from tests.support.qemu_ga import QEMU_GA, QemuGaService

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(QEMU_GA is None, reason="qemu-ga is not installed")]

LONG = 20.0
"""Seconds that no test waits for when all is well."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[QemuGaService]:
    with QemuGaService(tmp_path) as service:
        yield service


class Guest:
    """eventd's tables with a backend."""

    def __init__(self, path: str) -> None:
        self.agents, self.changes = AgentTable(), Changes()
        self.backend = QemuGaBackend(UnixConnect(path), self.agents, self.changes)
        self._seen: object = None

    @property
    def agent(self) -> Agent:
        """qemu-ga's entry; where there was none yet, one with a single command."""
        agents = self.agents.of_session(BACKEND)
        return agents[0] if agents else fake_agent(BACKEND, "guest-get-time")

    async def learned(self) -> Agent:
        """Wait until a qemu-ga that was not there before is entered."""
        while not (agents := self.agents.of_session(BACKEND)) or agents[0].presence is self._seen:
            await self.changes.wait()
        self._seen = agents[0].presence
        return agents[0]

    async def call(self, command: str, arguments: dict[str, Any], timeout: float = LONG) -> Any:
        return await self.backend.call(self.agent, command, arguments, port="p", timeout=timeout)

    async def busy(self) -> None:
        """Wait until qemu-ga was given a command."""
        while self.backend._link is None or not self.backend._link.busy_with:
            await anyio.lowlevel.checkpoint()

    async def linked(self) -> None:
        """Wait until it is connected."""
        while self.backend._link is None:
            await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def backend_at(path: str) -> AsyncIterator[Guest]:
    guest = Guest(path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guest.backend.run)
        yield guest
        tasks.cancel_scope.cancel()


async def outcome(guest: Guest, command: str, timeout: float = LONG, **arguments: Any) -> str:
    """What a call says when it fails."""
    with pytest.raises(CommandFailure) as caught:
        await guest.call(command, arguments, timeout)
    return caught.value.desc


async def test_it_learns_what_qemu_ga_serves_and_serves_it(service: QemuGaService) -> None:
    async with backend_at(service.path) as guest:
        commands = (await guest.learned()).commands
        assert commands["guest-get-osinfo"].success_response
        assert not commands["guest-shutdown"].success_response
        assert "guest-ping" not in commands  # eventd's own
        assert (await guest.call("guest-get-osinfo", {}))["kernel-release"]
        handle = await guest.call("guest-file-open", {"path": "/dev/null", "mode": "r"})
        assert await guest.call("guest-file-close", {"handle": handle}) == {}


async def test_what_it_refuses_goes_on_in_its_words(service: QemuGaService) -> None:
    async with backend_at(service.path) as guest:
        await guest.learned()
        assert "No such file" in await outcome(guest, "guest-file-open", path="/no/such/file")
        assert await outcome(guest, "guest-file-open", file="x") == "Parameter 'path' is missing"


async def test_what_it_blocks_is_not_found(tmp_path: Path) -> None:
    with QemuGaService(tmp_path, "-b", "guest-get-time") as service:
        async with backend_at(service.path) as guest:
            await guest.learned()
            with pytest.raises(CommandFailure, match="has been disabled") as caught:
                await guest.call("guest-get-time", {})
            assert caught.value.error_class == COMMAND_NOT_FOUND


async def test_a_command_without_a_reply_that_is_refused(service: QemuGaService) -> None:
    """A mode that there is not: nothing is shut down."""
    async with backend_at(service.path) as guest:
        await guest.learned()
        assert "mode" in await outcome(guest, "guest-shutdown", mode="sideways")
        assert (await guest.call("guest-get-host-name", {}))["host-name"]


async def test_one_that_is_killed_and_started_again(service: QemuGaService) -> None:
    async with backend_at(service.path) as guest:
        before = await guest.learned()
        service.signal(signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect, guest, "qemu-ga left; the command may or may not have run")
            await guest.busy()
            service.kill()
        assert guest.agents.now(before) is before
        service.start()
        await guest.learned()
        assert guest.agents.now(before) is None  # so that its open files are known to be gone
        assert await guest.call("guest-get-time", {}) > 0


async def expect(guest: Guest, desc: str) -> None:
    assert await outcome(guest, "guest-get-time") == desc


async def test_one_that_hangs_delays_only_those_who_ask_it(service: QemuGaService) -> None:
    async with backend_at(service.path) as guest:
        await guest.learned()
        service.signal(signal.SIGSTOP)
        said = await outcome(guest, "guest-get-host-name", 0.05)
        assert said == "qemu-ga did not answer within 0.05 s; the command may or may not have run"
        said = await outcome(guest, "guest-get-time", 0.05)
        assert (
            said
            == "qemu-ga is busy with guest-get-host-name; the command was given up after 0.05 s and not run"
        )
        service.signal(signal.SIGCONT)
        # The answer that nobody waits for any more is not taken for this one's.
        assert isinstance(await guest.call("guest-get-time", {}), int)


async def test_one_that_hangs_from_the_beginning(service: QemuGaService) -> None:
    service.signal(signal.SIGSTOP)
    async with backend_at(service.path) as guest:
        await guest.linked()
        said = await outcome(guest, "guest-get-time", 0.05)
        assert said == "qemu-ga does not answer; the command was given up after 0.05 s and not run"
        service.signal(signal.SIGCONT)
        await guest.learned()


async def test_a_queue_has_an_end(service: QemuGaService) -> None:
    async with backend_at(service.path) as guest:
        await guest.learned()
        service.signal(signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:
            for _ in range(MAX_QUEUED):
                tasks.start_soon(guest.call, "guest-get-time", {})
            await guest.busy()
            assert "try again when some have ended" in await outcome(guest, "guest-get-time")
            service.signal(signal.SIGCONT)


async def test_a_caller_that_leaves_leaves_nothing_behind(service: QemuGaService) -> None:
    async with backend_at(service.path) as guest:
        await guest.learned()
        service.signal(signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(guest.call, "guest-get-host-name", {})
            await guest.busy()
            tasks.cancel_scope.cancel()
        service.signal(signal.SIGCONT)
        assert isinstance(await guest.call("guest-get-time", {}), int)


async def test_none_is_there(tmp_path: Path) -> None:
    async with backend_at(str(tmp_path / "nowhere")) as guest:
        assert "qemu-ga is not there" in await outcome(guest, "guest-get-time")


@pytest.mark.timeout(60)
async def test_behind_eventd(service: QemuGaService, bus: PrivateBus, tmp_path: Path) -> None:
    """It serves what no agent does, and eventd goes on when it hangs or dies."""
    config = tmp_path / "eventd.toml"
    config.write_text(f'backend = "unix-connect:{service.path}"')
    with running_eventd(bus.address, "--config", str(config)) as eventd:
        host = await eventd.qga_host()
        listed: list[str] = []
        while "guest-get-osinfo" not in listed:
            info = await ask(host, "guest-info")
            listed = [
                command["name"] for command in info["return"]["supported_commands"] if command["enabled"]
            ]
        assert listed.count("guest-ping") == 1
        handle = (await ask(host, "guest-file-open", path="/etc/hostname"))["return"]
        assert (await ask(host, "guest-file-read", handle=handle))["return"]["eof"]
        assert (await ask(host, "guest-file-open", pth="x"))["error"]["desc"] == "Parameter 'path' is missing"
        service.signal(signal.SIGSTOP)
        await host.send(b'{"execute": "guest-file-read", "arguments": {"handle": %d}}' % handle)
        other = await eventd.qmp_host()
        assert (await ask(other, "guest-ping"))["return"] == {}
        service.kill()
        assert "qemu-ga left" in (await host.message())["error"]["desc"]
        service.start()
        desc = ""
        while "is gone" not in desc:
            desc = (await ask(host, "guest-file-read", handle=handle))["error"]["desc"]
        assert desc == f"agent 'qemu-ga' of session 'qemu-ga' is gone, and file {handle} with it"
        assert (await ask(host, "guest-get-host-name"))["return"]


async def ask(host: RawHost, command: str, **arguments: Any) -> dict[str, Any]:
    await host.send(json.dumps({"execute": command, "arguments": arguments}).encode())
    return await host.message()


@pytest.mark.parametrize("order", [("system", BACKEND), (BACKEND, "system")])
async def test_natives_win(order: tuple[str, str]) -> None:
    guest = FakeAgents()
    guest.behave["guest-get-host-name"] = lambda: {"host-name": "x"}
    guest.behave["guest-get-osinfo"] = dict
    for session in order:
        commands = ["guest-get-host-name"] + (["guest-get-osinfo"] if session == BACKEND else [])
        guest.add(session, *commands)
    await guest.ask(guest.qga, "guest-get-host-name")
    await guest.ask(guest.qga, "guest-get-osinfo")
    assert [name for name, *_ in guest.calls] == ["agent-system", f"agent-{BACKEND}"]
    (system,) = guest.agents.of_session("system")
    assert guest.agents.commands()["guest-get-host-name"] is system.commands["guest-get-host-name"]


async def test_what_it_froze_is_frozen_to_eventd_as_well() -> None:
    guest = FakeAgents()
    guest.add(BACKEND, "guest-fsfreeze-freeze", "guest-fsfreeze-thaw", "guest-get-host-name")
    guest.behave |= {"guest-fsfreeze-freeze": lambda: 2, "guest-fsfreeze-thaw": lambda: 2}
    assert await guest.ask(guest.qga, "guest-fsfreeze-freeze") == 2
    with pytest.raises(CommandFailure, match="frozen"):
        await guest.ask(guest.qga, "guest-get-host-name")
    assert await guest.ask(guest.qga, "guest-fsfreeze-thaw") == 2
    assert not guest.gate.frozen


async def test_a_policy_may_speak_of_it() -> None:
    guest = FakeAgents(Policy([PolicyRule(session_class=[BACKEND], deny=["guest-get-*"])]))
    guest.add(BACKEND, "guest-get-host-name")
    with pytest.raises(CommandFailure, match="has been disabled"):
        await guest.ask(guest.qga, "guest-get-host-name")


@pytest.mark.parametrize("text", ["device:/x", "/run/x", "unix-connect:"])
async def test_an_address_that_cannot_be_one(text: str) -> None:
    with pytest.raises(ConfigError, match="backend"):
        make_config({"backend": text}, "test")
