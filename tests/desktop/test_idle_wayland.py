"""Idleness on a real Wayland compositor."""

from __future__ import annotations

import pytest

from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import desktop_agent, put_into
from tests.support.needed_programs import need_programs
from tests.support.sway import Sway

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_idle_and_back(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_programs("wtype")
    put_into(monkeypatch, wayland.environment)
    async with desktop_agent(system_bus, session_bus, idle_seconds=1) as agent:
        source = (await agent.call("session-get-info"))["providers"]["idle"]
        assert source in ("wayland-kde", "wayland-ext")
        agent.manager.want("SESSION_IDLE")
        await agent.until_claimed("idle", **{source: True})
        state = await agent.call("session-get-idle")
        assert (state["idle"], state["said-by"]) == (True, [source, "logind"])
        assert state["seconds"] >= 1.0
        agent.forget()
        typing = wayland.run("wtype", "a")
        await agent.until_claimed("idle", **{source: False})
        assert await agent.call("session-get-idle") == {"idle": False, "said-by": ["logind"]}
        agent.forget()
        assert typing.wait(10) == 0
        await agent.until_claimed("idle", **{source: True})
