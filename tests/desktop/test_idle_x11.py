"""Idleness on a real X server: its counter, alarms that come by themselves, and who sits there again."""

from __future__ import annotations

import anyio
import pytest

from guestmux_session.desktop.idle_xss import XssIdle
from guestmux_session.desktop.x11_connection import connect_x11
from guestmux_session.pulse import Pulse
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import desktop_agent, put_into
from tests.support.needed_programs import need_programs
from tests.support.x_server import XServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_idle_and_back(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus, idle_seconds=1) as agent:
        assert (await agent.call("session-get-info"))["providers"]["idle"] == "x11-sync"
        bare_x.ask("xdotool", "mousemove", "10", "10")
        agent.manager.want("SESSION_IDLE")
        await agent.until_claimed("idle", **{"x11-sync": False})
        await agent.until_claimed("idle", **{"x11-sync": True})
        state = await agent.call("session-get-idle")
        assert (state["idle"], state["said-by"]) == (True, ["x11-sync", "logind"])
        assert state["seconds"] >= 1.0
        agent.forget()
        bare_x.ask("xdotool", "mousemove", "20", "20")
        await agent.until_claimed("idle", **{"x11-sync": False})
        state = await agent.call("session-get-idle")
        assert state["seconds"] < 60
        agent.forget()
        await agent.until_claimed("idle", **{"x11-sync": True})


async def test_nobody_wants_to_know(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus, idle_seconds=1) as agent:
        agent.manager.want("SESSION_IDLE")
        await agent.until_claimed("idle", **{"x11-sync": True})
        agent.manager.want()
        await agent.until_claimed("idle")
        agent.forget()
        bare_x.ask("xdotool", "mousemove", "20", "20")
        await agent.call("session-get-idle")
        agent.manager.want("SESSION_IDLE")
        await agent.until_claimed("idle", **{"x11-sync": False})


async def test_an_x_server_that_crashes_and_comes_back(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus, idle_seconds=1) as agent:
        agent.manager.want("SESSION_IDLE")
        await agent.until_claimed("idle", **{"x11-sync": True})
        bare_x.crash()
        await agent.until_claimed("idle")
        state = await agent.call("session-get-idle")
        assert state == {"idle": False, "said-by": ["logind"]}
        agent.forget()
        bare_x.restart()
        await agent.until_claimed("idle", **{"x11-sync": True})


async def test_the_servers_own_screen_saver(bare_x: XServer) -> None:
    """Every server here has the counter, so that the agent takes that."""
    need_programs("xset")
    connection = await connect_x11(bare_x.environment["DISPLAY"], bare_x.environment["XAUTHORITY"])
    source, told, changed = XssIdle(connection), list[bool](), Pulse()

    def tell(idle: bool) -> None:
        told.append(idle)
        changed.beat()

    async with anyio.create_task_group() as group:
        group.start_soon(source.follow, 300.0, tell)
        await changed.wait_beyond(0)
        bare_x.ask("xset", "s", "activate")
        await changed.wait_beyond(1)
        bare_x.ask("xdotool", "mousemove", "30", "30")
        await changed.wait_beyond(2)
        group.cancel_scope.cancel()
    assert told == [False, True, False]
    seconds = await source.idle_for()
    assert seconds is not None
    assert seconds < 60
    connection.close()
