"""Programs in the session that mean no good: they harm their own events, and nothing else."""

import os
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import pytest

from guestmux_session.desktop import x11_connection
from guestmux_session.desktop.app_table import MAX_WINDOWS
from guestmux_session.desktop.apps import MAX_LISTED
from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.x_server import XServer
from tests.support.x_windows import Windows

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

MANY = 1000


@pytest.fixture
async def windows(bare_x: XServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Windows]:
    put_into(monkeypatch, bare_x.environment)
    windows = await Windows.on(bare_x)
    yield windows
    windows.close()


async def marked(agent: DesktopAgent, windows: Windows) -> None:
    """Wait until all that went before was told."""
    marker = await windows.make(b"marker\0marker\0")
    await windows.list()
    await agent.until_told("APP_STARTED", app_id="marker")
    windows.destroy(marker)
    await windows.list()
    await agent.until_told("APP_EXITED", app_id="marker")


async def test_of_a_thousand_windows_each_start_has_its_exit(
    windows: Windows, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        for number in range(MANY):
            window = await windows.make(b"some\0app-%d\0" % number)
            await windows.list()
            await windows.activate(window)
            await windows.settled()
            if number % 2:
                windows.destroy(windows.open[0])
                await windows.list()
        # What comes and goes between two looks is told by nobody.
        await agent.until_told("APP_STARTED")
        for window in [*windows.open]:
            windows.destroy(window)
            await windows.list()
            await windows.settled()
        await marked(agent, windows)
        told = Counter((event, data["app-id"]) for event, data in agent.told if event != "APP_FOCUSED")
        started = {app: count for (event, app), count in told.items() if event == "APP_STARTED"}
        exited = {app: count for (event, app), count in told.items() if event == "APP_EXITED"}
        assert started == exited
        assert len(started) > 1
        focused = [data for event, data in agent.told if event == "APP_FOCUSED"]
        assert len(focused) < MANY / 2
        assert (await agent.call("session-list-apps"))["apps"] == []


async def test_texts_of_any_length_and_of_no_encoding(
    windows: Windows, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus, titles=True) as agent:
        await agent.watched()
        long = b"\xff\xfe\x00" * 350_000
        await windows.make(b"x" * 1_000_000, _NET_WM_NAME=long, _GTK_APPLICATION_ID=b"")
        await windows.list()
        told = await agent.until_told("APP_STARTED")
        assert set(told["app-id"]) == {"x"}
        assert len(told["app-id"]) <= 256
        assert 0 < len(told["title"]) <= 1024


async def test_a_window_cannot_pass_for_another_process(
    windows: Windows, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        window = await windows.make(b"liar\0Liar\0")
        await windows.claim_pid(window, 1)
        await windows.list()
        assert (await agent.until_told("APP_STARTED", app_id="Liar"))["pid"] == os.getpid()


async def test_windows_that_there_are_not(
    windows: Windows, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        await windows.list(range(1, 100_000))
        assert (await agent.call("session-list-apps"))["apps"] == []
        await marked(agent, windows)


async def test_more_windows_than_are_followed(
    windows: Windows, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    for number in range(MAX_WINDOWS + 100):
        await windows.make(b"some\0app-%d\0" % number)
    await windows.list()
    await windows.settled()
    async with desktop_agent(system_bus, session_bus) as agent:
        listed = await agent.call("session-list-apps")
        assert listed["truncated"]
        assert len(listed["apps"]) == MAX_LISTED


async def test_a_server_that_hangs_holds_up_nothing_else(
    windows: Windows,
    bare_x: XServer,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(x11_connection, "ANSWER_TIMEOUT", 1.0)
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        await windows.make(b"a\0a\0")
        await windows.list()
        await agent.until_told("APP_STARTED", app_id="a")
        agent.forget()
        with bare_x.stopped():
            async with anyio.create_task_group() as group:
                group.start_soon(refused_to_focus, agent)
                await agent.call("guest-get-osinfo")
            await agent.until_told("APP_EXITED", app_id="a")
        await agent.until_told("APP_STARTED", app_id="a")


async def refused_to_focus(agent: DesktopAgent) -> None:
    with pytest.raises(CallError, match="does not answer"):
        await agent.call("session-focus-app", app_id="a")
