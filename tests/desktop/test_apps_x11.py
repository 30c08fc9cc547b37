"""Applications on a real X server with a real window manager."""

import anyio
import pytest

from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import desktop_agent, put_into
from tests.support.x_server import XServer
from tests.support.x_windows import Windows

pytestmark = pytest.mark.anyio

XTERM = "debian-xterm"


@pytest.fixture(autouse=True)
def in_session(x: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    put_into(monkeypatch, x.environment)


async def test_an_application_starts_is_focused_and_exits(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        xterm = x.run("xterm")
        started = await agent.until_told("APP_STARTED")
        assert started == {"app-id": XTERM, "name": "XTerm", "pid": xterm.pid}
        await agent.until_told("APP_FOCUSED", app_id=XTERM, pid=xterm.pid)
        xterm.terminate()
        assert await agent.until_told("APP_EXITED") == started
        assert await agent.source() == "x11-ewmh"


async def test_what_runs_already_has_not_started(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    xterm = x.run("xterm")
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.until_runs(XTERM)
        await agent.watched()
        xterm.terminate()
        await agent.until_told("APP_EXITED", app_id=XTERM)
        assert "APP_STARTED" not in dict(agent.told)


async def test_two_of_one_application_are_told_apart(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        first = x.run("xterm")
        await agent.until_told("APP_FOCUSED", pid=first.pid)
        second = x.run("xterm")
        await agent.until_told("APP_FOCUSED", pid=second.pid)
        agent.forget()
        await agent.call("session-focus-app", app_id=XTERM, pid=first.pid)
        await agent.until_told("APP_FOCUSED", pid=first.pid)
        assert x.ask("xdotool", "getactivewindow", "getwindowpid").strip() == str(first.pid)
        assert await agent.call("session-close-app", app_id=XTERM, pid=first.pid) == {"windows": 1}
        await agent.until_told("APP_EXITED", pid=first.pid)
        running = (await agent.call("session-list-apps"))["apps"]
        assert [(app["pid"], app["windows"], app["focused"]) for app in running] == [(second.pid, 1, True)]


async def test_commands_need_no_subscription(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    x.run("xterm", "-T", "secret.txt")
    async with desktop_agent(system_bus, session_bus) as agent:
        assert "title" not in await agent.until_runs(XTERM)
        await agent.call("session-close-app", app_id=f"{XTERM}.desktop")
        await agent.until_runs(XTERM, windows=0)
        assert agent.told == []


async def test_titles_are_told_where_they_may_be(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus, titles=True) as agent:
        await agent.watched()
        x.run("xterm", "-T", "plan.txt")
        assert (await agent.until_told("APP_STARTED"))["title"] == "plan.txt"
        assert (await agent.apps())[XTERM]["title"] == "plan.txt"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_titles_of_programs_that_know_no_unicode(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, encoding: str
) -> None:
    windows = await Windows.on(x)
    await windows.make(b"old\0Old\0", WM_NAME="größer".encode(encoding))
    async with desktop_agent(system_bus, session_bus, titles=True) as agent:
        await agent.watched()
        await windows.list()
        assert (await agent.until_told("APP_STARTED", app_id="Old"))["title"] == "größer"
    windows.close()


async def test_an_agent_that_is_started_again_goes_on(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        xterm = x.run("xterm")
        await agent.until_told("APP_STARTED", pid=xterm.pid)
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        assert (await agent.until_told("APP_FOCUSED"))["pid"] == xterm.pid
        xterm.terminate()
        await agent.until_told("APP_EXITED", pid=xterm.pid)
        assert "APP_STARTED" not in dict(agent.told)


async def test_a_display_server_that_crashes_and_comes_back(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        xterm = x.run("xterm")
        await agent.until_told("APP_STARTED", pid=xterm.pid)
        await anyio.to_thread.run_sync(x.crash)
        await agent.until_told("APP_EXITED", pid=xterm.pid)
        assert "Connection refused" in await agent.source()
        await anyio.to_thread.run_sync(x.restart)
        await anyio.to_thread.run_sync(x.manage)
        again = x.run("xterm")
        await agent.until_told("APP_STARTED", pid=again.pid)
        assert await agent.source() == "x11-ewmh"


async def test_an_agent_that_is_started_again_over_a_crash(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        xterm = x.run("xterm")
        await agent.until_told("APP_STARTED", pid=xterm.pid)
    await anyio.to_thread.run_sync(x.crash)
    async with desktop_agent(system_bus, session_bus) as agent:
        agent.manager.want("APP_*", "CLIPBOARD_*")
        assert "Connection refused" in await agent.source()
        await anyio.to_thread.run_sync(x.restart)
        await anyio.to_thread.run_sync(x.manage)
        xterm = x.run("xterm")
        await agent.until_told("APP_STARTED", pid=xterm.pid)
        await agent.call("session-clipboard-set", text="new")
        assert (await agent.call("session-clipboard-get"))["text"] == "new"
