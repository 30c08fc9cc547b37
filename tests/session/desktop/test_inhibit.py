"""What keeps a session from going idle: the commands, before stand-ins of the services that do it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_session.desktop.inhibitors import MAX_HELD
from guestmux_transport.errors import CallError, MethodError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.standin_inhibitors import GNOME, SCREENSAVER, standin_inhibitors

pytestmark = pytest.mark.anyio

ASK_SECONDS = 0.02
"""Seconds between two questions."""


@pytest.fixture
async def agent(
    system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[DesktopAgent]:
    put_into(monkeypatch, {"XDG_RUNTIME_DIR": str(tmp_path)})
    async with desktop_agent(system_bus, session_bus) as agent:
        yield agent


async def locks(agent: DesktopAgent) -> list[list[Any]]:
    """logind's inhibitors: what, who, why, mode."""
    reply = await agent.logind.bus.call(
        "org.freedesktop.login1",
        "/org/freedesktop/login1",
        "org.freedesktop.login1.Manager",
        "ListInhibitors",
    )
    return [list(each[:4]) for each in reply.body[0]]


async def until_by(agent: DesktopAgent, *by: str) -> None:
    """Ask until the session is kept awake by these."""
    while True:
        (held,) = await agent.call("session-list-inhibitors")
        if held["by"] == list(by):
            return
        await anyio.sleep(ASK_SECONDS)


async def until_unlocked(agent: DesktopAgent) -> None:
    """Ask until logind has no inhibitor."""
    while True:
        if not await locks(agent):
            return
        await anyio.sleep(ASK_SECONDS)


async def until_nothing(agent: DesktopAgent) -> None:
    """Ask until nothing is held."""
    while True:
        if not await agent.call("session-list-inhibitors"):
            return
        await anyio.sleep(ASK_SECONDS)


async def test_every_way_there_is_at_once(agent: DesktopAgent, session_bus: PrivateBus) -> None:
    async with (
        standin_inhibitors(session_bus.address, GNOME) as gnome,
        standin_inhibitors(session_bus.address, SCREENSAVER) as screensaver,
    ):
        answer = await agent.call("session-inhibit-idle", reason="A film")
        assert answer == {"id": 1, "by": ["gnome-session", "logind"]}
        assert [*gnome.held.values()] == [["guestmux", 0, "A film", 8]]
        # It would only hand it on.
        assert screensaver.held == {}
        assert await locks(agent) == [["idle", "guestmux", "A film", "block"]]
        (held,) = await agent.call("session-list-inhibitors")
        assert 3500 < held.pop("seconds") <= 3600
        assert held == {"id": 1, "reason": "A film", "by": ["gnome-session", "logind"]}
        assert await agent.call("session-uninhibit-idle", id=1) == {}
        await gnome.until_held(0)
        await until_unlocked(agent)


async def test_the_screensaver_where_there_is_no_gnome(agent: DesktopAgent, session_bus: PrivateBus) -> None:
    async with standin_inhibitors(session_bus.address, SCREENSAVER) as screensaver:
        answer = await agent.call("session-inhibit-idle", reason="A film")
        assert answer["by"] == ["logind", "screensaver"]
        assert [*screensaver.held.values()] == [["guestmux", "A film"]]


async def test_a_service_that_refuses(agent: DesktopAgent, session_bus: PrivateBus) -> None:
    async with (
        standin_inhibitors(session_bus.address, GNOME) as gnome,
        standin_inhibitors(session_bus.address, SCREENSAVER),
    ):
        gnome.fail = MethodError("org.example.No", "not now")
        answer = await agent.call("session-inhibit-idle", reason="A film")
        assert answer["by"] == ["logind", "screensaver"]


async def test_a_service_that_comes_back(agent: DesktopAgent, session_bus: PrivateBus) -> None:
    async with standin_inhibitors(session_bus.address, SCREENSAVER):
        await agent.call("session-inhibit-idle", reason="A film")
    await until_by(agent, "logind")
    async with standin_inhibitors(session_bus.address, SCREENSAVER) as screensaver:
        await screensaver.until_held(1)
        await until_by(agent, "logind", "screensaver")


async def test_a_better_service_that_comes(agent: DesktopAgent, session_bus: PrivateBus) -> None:
    async with standin_inhibitors(session_bus.address, SCREENSAVER) as screensaver:
        await agent.call("session-inhibit-idle", reason="A film")
        async with standin_inhibitors(session_bus.address, GNOME) as gnome:
            await gnome.until_held(1)
            await screensaver.until_held(0)
            await until_by(agent, "gnome-session", "logind")
        await screensaver.until_held(1)


async def test_a_session_bus_that_goes(agent: DesktopAgent, session_bus: PrivateBus) -> None:
    async with standin_inhibitors(session_bus.address, SCREENSAVER):
        await agent.call("session-inhibit-idle", reason="A film")
        session_bus.kill()
        await until_by(agent, "logind")
    session_bus.restart()


async def test_its_time_ends_it(agent: DesktopAgent) -> None:
    await agent.call("session-inhibit-idle", reason="A film", seconds=0.05)
    await until_nothing(agent)
    assert await locks(agent) == []


async def test_it_is_renewed_by_its_number(agent: DesktopAgent) -> None:
    assert await agent.call("session-inhibit-idle", reason="A film", seconds=5) == {"id": 1, "by": ["logind"]}
    renewed = await agent.call("session-inhibit-idle", reason="ignored", seconds=5000, id=1)
    assert renewed == {"id": 1, "by": ["logind"]}
    (held,) = await agent.call("session-list-inhibitors")
    assert held["reason"] == "A film"
    assert held["seconds"] > 4000
    # Over at once, though the first time that was given is far away.
    await agent.call("session-inhibit-idle", reason="ignored", seconds=0.01, id=1)
    await until_nothing(agent)
    with pytest.raises(CallError, match="by the number 1; it may be over"):
        await agent.call("session-inhibit-idle", reason="A film", id=1)


async def test_they_are_bounded(agent: DesktopAgent) -> None:
    for number in range(MAX_HELD):
        await agent.call("session-inhibit-idle", reason=f"{number}")
    with pytest.raises(CallError, match="16 reasons keep the session"):
        await agent.call("session-inhibit-idle", reason="one more")
    await agent.call("session-uninhibit-idle", id=3)
    assert (await agent.call("session-inhibit-idle", reason="one more"))["id"] == MAX_HELD + 1


async def test_where_nothing_does_it(agent: DesktopAgent, system_bus: PrivateBus) -> None:
    await agent.logind.kill(signal.SIGKILL)
    with pytest.raises(
        CallError, match=r"nothing here keeps the session from going idle: .*is on the session bus"
    ):
        await agent.call("session-inhibit-idle", reason="A film")
    assert await agent.call("session-list-inhibitors") == []
    with pytest.raises(CallError, match="by the number 1"):
        await agent.call("session-uninhibit-idle", id=1)


@pytest.mark.parametrize(
    "arguments", [{"reason": ""}, {"reason": "x", "seconds": 0}, {"reason": "x", "seconds": 1e9}]
)
async def test_what_cannot_be_meant(agent: DesktopAgent, arguments: dict[str, Any]) -> None:
    with pytest.raises(CallError, match="Invalid parameter"):
        await agent.call("session-inhibit-idle", **arguments)


async def test_an_agent_that_ends_lets_go(
    system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put_into(monkeypatch, {"XDG_RUNTIME_DIR": str(tmp_path)})
    async with standin_inhibitors(session_bus.address, SCREENSAVER) as screensaver:
        async with desktop_agent(system_bus, session_bus) as agent:
            await agent.call("session-inhibit-idle", reason="A film")
        await screensaver.until_held(0)
