"""Wayland clients that mean no good: they harm their own events, and nothing else."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import pytest

from guestmux_protocol.clipboard_commands import MAX_FORMATS
from guestmux_session.desktop import clipboard_source, wayland_connection
from guestmux_session.desktop.fd_pipes import PipeWriter
from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import ASK_SECONDS, DesktopAgent, desktop_agent, put_into
from tests.support.sway import Sway
from tests.support.wayland_owner import owner
from tests.support.wayland_windows import Windows

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

LONGEST = 4000
"""Bytes of a title: a message has 4 KiB."""

TITLES = 60
"""With LONGEST, more than a compositor can keep for who does not read."""


@pytest.fixture
async def agent(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DesktopAgent]:
    put_into(monkeypatch, wayland.environment)
    async with desktop_agent(system_bus, session_bus, titles=True) as agent:
        await agent.watched()
        yield agent


@pytest.fixture
async def windows(wayland: Sway, agent: DesktopAgent) -> AsyncIterator[Windows]:
    windows = await Windows.on(wayland)
    yield windows
    windows.close()


async def test_texts_of_any_length_and_of_no_encoding(agent: DesktopAgent, windows: Windows) -> None:
    windows.open(b"\xff\xfe" * 500 + b"\n", title=b"\xf0\x28\x8c" * 1300)
    await windows.settled()
    told = await agent.until_told("APP_STARTED")
    assert set(told["app-id"]) == {"\ufffd"}
    assert len(told["app-id"]) <= 256
    assert 0 < len(told["title"]) <= 1024


async def test_a_flood_of_titles(
    agent: DesktopAgent, windows: Windows, wayland: Sway, monkeypatch: pytest.MonkeyPatch
) -> None:
    # sway draws each of the titles before it answers anybody.
    monkeypatch.setattr(wayland_connection, "CONNECT_TIMEOUT", 40.0)
    wayland.run("foot")
    await agent.until_told("APP_STARTED", app_id="foot")
    hostile = windows.open(b"hostile")
    await agent.until_told("APP_STARTED", app_id="hostile")
    for number in range(TITLES):
        hostile.title(b"%d" % number + b"x" * LONGEST)
    await windows.settled()
    hostile.close()
    await windows.settled()
    await agent.until_told("APP_EXITED", app_id="hostile")
    assert await agent.until_runs("foot")
    told = Counter((event, data["app-id"]) for event, data in agent.told if event != "APP_FOCUSED")
    assert told[("APP_STARTED", "foot")] == 1
    assert told[("APP_EXITED", "foot")] == 0


@pytest.mark.parametrize("count", [1000, 10_000])
async def test_ten_thousand_formats(agent: DesktopAgent, wayland: Sway, windows: Windows, count: int) -> None:
    # Not foot: the compositor may end its connection, too.
    windows.open(b"other")
    await windows.settled()
    await agent.until_told("APP_STARTED", app_id="other")
    await agent.clipboard_watched()
    async with owner(wayland, (f"a/{number}-and-some-more" for number in range(count))):
        if count == 1000:
            told = await agent.until_told("CLIPBOARD_CHANGED", selection="clipboard", truncated=True)
            assert len(told["formats"]) == MAX_FORMATS
    await again(agent)
    agent.forget()
    await agent.clipboard_watched()
    assert await agent.until_runs("other")
    assert "APP_EXITED" not in dict(agent.told)


async def again(agent: DesktopAgent) -> None:
    """Wait until the clipboard can be had again: a compositor ends the connection of who hears of so many formats."""
    while True:
        try:
            await agent.call("session-clipboard-list")
        except CallError:
            await anyio.sleep(ASK_SECONDS)
        else:
            return


@pytest.mark.parametrize("name", ["x" * 3000, "ä/ö", "a/\nb", ""])
async def test_formats_that_are_none(agent: DesktopAgent, wayland: Sway, name: str) -> None:
    async with owner(wayland, [name, "text/html"]):
        listed = await agent.call("session-clipboard-list")
    assert listed == {"formats": ["text/html"], "sizes": {}, "truncated": True}


async def test_one_that_never_answers(
    agent: DesktopAgent, wayland: Sway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard_source, "ANSWER_SECONDS", 1.0)
    kept: list[int] = []
    async with owner(wayland, ["text/plain"], kept.append), anyio.create_task_group() as group:
        group.start_soon(refused, agent, "does not answer")
        await agent.call("session-clipboard-set", text="other", selection="primary")
        assert (await agent.call("session-clipboard-get", selection="primary"))["text"] == "other"
    os.close(kept.pop())


async def test_one_that_gives_for_ever(agent: DesktopAgent, wayland: Sway) -> None:
    ended = anyio.Event()

    def give(fd: int) -> None:
        PipeWriter(fd, b"x" * 40_000_000, lambda _writer: ended.set())

    async with owner(wayland, ["text/plain"], give):
        await refused(agent, "more than 16 MiB")
        await ended.wait()


async def test_one_that_ends_in_the_middle(agent: DesktopAgent, wayland: Sway) -> None:
    def give(fd: int) -> None:
        os.write(fd, b"half of it")
        connection.close()
        os.close(fd)

    async with owner(wayland, ["text/plain"], give) as connection:
        await refused(agent, "its program ended")


async def refused(agent: DesktopAgent, reason: str) -> None:
    with pytest.raises(CallError, match=reason):
        await agent.call("session-clipboard-get")
