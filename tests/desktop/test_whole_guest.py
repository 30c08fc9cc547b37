"""From a window on a real desktop to a host: a real eventd, a real agent, what they cost."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import DEVNULL

import anyio
import anyio.abc
import pytest

import guestmux
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import STRETCH_SECONDS, STRETCHES, Eventd, running_eventd
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.x_server import XServer
from tests.support.x_windows import Windows

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(40)]

PROGRAM = """
from guestmux_transport.lean_imports import import_little
import_little()
from guestmux_session.__main__ import main
main()
"""

MAX_MEMORY = 35_000_000
"""Bytes that an agent may hold with the desktop's providers at work."""

MANY = 1000


@pytest.fixture
async def logind(system_bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(system_bus.address) as logind:
        yield logind


@pytest.fixture
async def session(logind: StandinLogind) -> str:
    return await logind.control.login("alice", os.getuid())


@pytest.fixture
def allowed() -> str:
    """What `[[privacy]]` has."""
    return ""


@pytest.fixture
def eventd(system_bus: PrivateBus, session: str, allowed: str, tmp_path: Path) -> Iterator[Eventd]:
    config = tmp_path / "eventd.toml"
    config.write_text(allowed)
    with running_eventd(system_bus.address, "--config", str(config)) as eventd:
        yield eventd


@pytest.fixture
async def agent(
    eventd: Eventd, system_bus: PrivateBus, session_bus: PrivateBus, session: str, x: XServer
) -> AsyncIterator[anyio.abc.Process]:
    """A session's agent, from when it serves on; started as the packages start it."""
    environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": session_bus.address, **x.environment}
    command = [sys.executable, "-c", PROGRAM, "--bus", system_bus.address, "--session", session]
    async with (
        guestmux.connect(f"unix:{eventd.qga}") as watcher,
        watcher.events("AGENT_REGISTERED") as stream,
        await anyio.open_process(command, env=environment, stdout=DEVNULL, stderr=DEVNULL) as process,
    ):
        async for item in stream:
            if isinstance(item, guestmux.Event) and "guest-exec-attach" in item.data["commands"]:
                break
        yield process
        process.terminate()
        await process.wait()


async def until(stream: guestmux.EventStream, name: str) -> dict[str, object]:
    async for item in stream:
        if isinstance(item, guestmux.Event) and item.name == name:
            return item.data
    raise AssertionError("the stream ended")


async def until_told(stream: guestmux.EventStream, name: str, app_id: str) -> None:
    while (await until(stream, name))["app-id"] != app_id:
        pass


async def rests(pid: int) -> bool:
    """Whether a process comes to rest, and stays at it for a while."""
    for _ in range(STRETCHES):
        before = _wakeups(pid)
        await anyio.sleep(STRETCH_SECONDS)
        if _wakeups(pid) == before:
            return True
    return False


def _wakeups(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def test_a_host_hears_of_applications(
    eventd: Eventd, agent: anyio.abc.Process, session: str, x: XServer
) -> None:
    async with guestmux.connect(f"unix:{eventd.qmp}") as guest, guest.events("APP_*") as stream:
        await until(stream, "APP_FOCUSED")
        xterm = x.run("xterm", "-T", "secret.txt")
        started = await until(stream, "APP_STARTED")
        assert (started["app-id"], started["pid"], started["session"]) == ("debian-xterm", xterm.pid, session)
        assert started["source"] == "claimed"
        assert "secret" not in str(started)
        listed = await guest.call("session-list-apps", session=session)
        assert [app["name"] for app in listed["apps"]] == ["XTerm"]
        assert "secret" not in str(listed)
        await guest.call("session-close-app", session=session, app_id="debian-xterm")
        assert (await until(stream, "APP_EXITED"))["pid"] == xterm.pid
        assert _memory(agent.pid) <= MAX_MEMORY


async def test_a_thousand_windows_leave_little_behind(
    eventd: Eventd, agent: anyio.abc.Process, x: XServer
) -> None:
    async with guestmux.connect(f"unix:{eventd.qmp}") as guest, guest.events("*") as stream:
        await until(stream, "APP_FOCUSED")
        windows = await Windows.on(x)
        for burst in range(2):
            for number in range(MANY):
                await windows.make(b"some\0app-%d\0" % number)
            await windows.make(b"some\0last-%d\0" % burst)
            await windows.list()
            # What is told is told in order.
            await until_told(stream, "APP_STARTED", f"last-{burst}")
            for window in [*windows.open]:
                windows.destroy(window)
            await windows.list()
            await until_told(stream, "APP_EXITED", f"last-{burst}")
        assert _memory(agent.pid) <= MAX_MEMORY
        windows.close()


@pytest.mark.parametrize("allowed", ['[[privacy]]\nevents = ["APP_*"]\nallow = ["title"]\n'])
async def test_a_host_hears_of_titles_where_it_may(
    eventd: Eventd, agent: anyio.abc.Process, session: str, x: XServer
) -> None:
    async with guestmux.connect(f"unix:{eventd.qmp}") as guest, guest.events("APP_*") as stream:
        await until(stream, "APP_FOCUSED")
        x.run("xterm", "-T", "plan.txt")
        assert (await until(stream, "APP_STARTED"))["title"] == "plan.txt"
        listed = await guest.call("session-list-apps", session=session)
        assert [app["title"] for app in listed["apps"]] == ["plan.txt"]


async def test_nothing_is_watched_for_nobody(eventd: Eventd, agent: anyio.abc.Process, x: XServer) -> None:
    async with guestmux.connect(f"unix:{eventd.qmp}") as guest, guest.events("*") as stream:
        await until(stream, "APP_FOCUSED")
        xterm = x.run("xterm")
        await until(stream, "APP_STARTED")
        xterm.terminate()
        await until(stream, "APP_EXITED")
    assert await rests(agent.pid)
    before = _wakeups(agent.pid)
    for _ in range(3):
        x.ask("xterm", "-e", "true")
    assert _wakeups(agent.pid) == before


async def test_locks_and_idleness_wake_nobody_up_while_nothing_happens(
    eventd: Eventd, agent: anyio.abc.Process, session: str
) -> None:
    async with guestmux.connect(f"unix:{eventd.qmp}") as guest, guest.events("SESSION_*"):
        providers = (await guest.session_info(session)).providers
        assert (providers["lock"], providers["idle"]) == ("logind", "x11-sync")
        assert await rests(agent.pid)
