"""The displays of a real Wayland compositor."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import ASK_SECONDS, DesktopAgent, desktop_agent, put_into
from tests.support.display_calls import listed, set_displays, watched
from tests.support.sway import Sway

pytestmark = pytest.mark.anyio

FIRST, SECOND = "HEADLESS-1", "HEADLESS-2"


class Swaymsg:
    """Asks sway by itself."""

    def __init__(self, wayland: Sway) -> None:
        directory = Path(wayland.environment["XDG_RUNTIME_DIR"])
        self._environment = {**os.environ, "SWAYSOCK": str(next(directory.glob("sway-ipc.*")))}

    def __call__(self, *command: str) -> Any:
        done = subprocess.run(
            ["swaymsg", "-r", *command], env=self._environment, check=True, capture_output=True, timeout=20
        )
        return json.loads(done.stdout)

    def outputs(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self("-t", "get_outputs") if one["active"]}

    def areas(self) -> dict[str, tuple[int, ...]]:
        return {
            name: tuple(one["rect"][side] for side in ("x", "y", "width", "height"))
            for name, one in self.outputs().items()
        }


@pytest.fixture
async def agent(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DesktopAgent]:
    put_into(monkeypatch, wayland.environment)
    async with desktop_agent(system_bus, session_bus) as agent:
        await until_on(agent, FIRST)
        yield agent


@pytest.fixture
def sway(wayland: Sway, agent: DesktopAgent) -> Swaymsg:
    del agent
    return Swaymsg(wayland)


async def second(agent: DesktopAgent, sway: Swaymsg) -> None:
    """Have a second display, right of the first."""
    sway("create_output")
    await until_on(agent, SECOND)


async def until_on(agent: DesktopAgent, name: str) -> None:
    """Ask until a display is on."""
    while True:
        display = (await listed(agent)).get(name)
        if display is not None and display["enabled"]:
            return
        await anyio.sleep(ASK_SECONDS)


async def test_what_there_is(agent: DesktopAgent, sway: Swaymsg) -> None:
    first = (await listed(agent))[FIRST]
    assert (first["connected"], first["enabled"], first["rotation"]) == (True, True, "normal")
    assert tuple(first[side] for side in ("x", "y", "width", "height")) == sway.areas()[FIRST]
    assert first["scale"] == 1.0
    assert "primary" not in first
    assert (await agent.call("session-get-info"))["providers"]["displays"] == "wayland-wlr"


async def test_any_size(agent: DesktopAgent, sway: Swaymsg) -> None:
    after = await set_displays(agent, {"name": FIRST, "width": 1234, "height": 567, "refresh": 75})
    assert after[FIRST]["mode"] == {"width": 1234, "height": 567, "refresh": 75.0, "preferred": False}
    assert sway.areas() == {FIRST: (0, 0, 1234, 567)}
    assert sway.outputs()[FIRST]["current_mode"]["refresh"] == 75_000


async def test_two_at_once(agent: DesktopAgent, sway: Swaymsg) -> None:
    await second(agent, sway)
    after = await set_displays(
        agent,
        {"name": FIRST, "width": 800, "height": 600, "x": 1000, "y": 0},
        {"name": SECOND, "width": 1000, "height": 500, "x": 0, "y": 100},
    )
    assert sway.areas() == {FIRST: (1000, 0, 800, 600), SECOND: (0, 100, 1000, 500)}
    assert {name: (one["x"], one["y"]) for name, one in after.items()} == {FIRST: (1000, 0), SECOND: (0, 100)}


async def test_what_is_not_named_stays_as_it_is(agent: DesktopAgent, sway: Swaymsg) -> None:
    await set_displays(agent, {"name": FIRST, "width": 801, "height": 602, "scale": 1.5, "rotation": "left"})
    await second(agent, sway)
    before = (await listed(agent))[FIRST]
    await set_displays(agent, {"name": SECOND, "width": 900, "height": 500})
    assert (await listed(agent))[FIRST] == before
    assert (before["scale"], before["rotation"], before["mode"]["width"]) == (1.5, "left", 801)
    assert (before["width"], before["height"]) == sway.areas()[FIRST][2:]


async def test_turned_and_mirrored(agent: DesktopAgent, sway: Swaymsg) -> None:
    after = await set_displays(
        agent, {"name": FIRST, "width": 800, "height": 600, "rotation": "right", "mirrored": True}
    )
    assert (after[FIRST]["rotation"], after[FIRST]["mirrored"]) == ("right", True)
    assert (after[FIRST]["width"], after[FIRST]["height"]) == (600, 800)
    assert sway.outputs()[FIRST]["transform"].startswith("flipped-")


async def test_a_test_changes_nothing(agent: DesktopAgent, sway: Swaymsg) -> None:
    before = sway.outputs()
    answer = await set_displays(agent, {"name": FIRST, "width": 1111, "height": 222}, test=True)
    assert answer[FIRST]["mode"]["width"] == before[FIRST]["current_mode"]["width"]
    assert sway.outputs() == before


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"name": "DP-1"}, "no display 'DP-1'"),
        ({"name": FIRST, "enabled": False}, "one display must stay on"),
        ({"name": FIRST, "primary": True}, "no display is the first"),
    ],
)
async def test_what_cannot_be(
    agent: DesktopAgent, sway: Swaymsg, setting: dict[str, Any], error: str
) -> None:
    before = sway.outputs()
    with pytest.raises(CallError, match=error):
        await set_displays(agent, setting)
    assert sway.outputs() == before


async def test_what_the_compositor_refuses(agent: DesktopAgent, sway: Swaymsg) -> None:
    """sway 1.7 does not switch off headless outputs."""
    await second(agent, sway)
    before = sway.areas()
    with pytest.raises(CallError, match="does not set its outputs so"):
        await set_displays(agent, {"name": SECOND, "enabled": False})
    assert sway.areas() == before


async def test_changes_are_told(agent: DesktopAgent, sway: Swaymsg) -> None:
    await watched(agent, lambda width: sway("output", FIRST, "mode", f"{width}x600"), (800, 1024))
    await second(agent, sway)
    told = await agent.until_told("DISPLAY_CHANGED")
    assert {one["name"] for one in told["displays"]} == {FIRST, SECOND}


async def test_a_compositor_that_crashes_and_comes_back(
    agent: DesktopAgent, wayland: Sway, sway: Swaymsg
) -> None:
    await watched(agent, lambda width: sway("output", FIRST, "mode", f"{width}x600"), (800, 1024))
    wayland.crash()
    with pytest.raises(CallError, match="cannot be reached"):
        await listed(agent)
    wayland.restart()
    told = await agent.until_told("DISPLAY_CHANGED")
    assert told["displays"][0]["width"] == 1280
