"""The displays of a real GNOME Shell on Wayland."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import ASK_SECONDS, DesktopAgent, desktop_agent, put_into
from tests.support.display_calls import listed, set_displays

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(90),
    pytest.mark.skipif(not shutil.which("gnome-shell"), reason="gnome-shell, 350 MB, is not installed"),
]

FIRST, SECOND = "Meta-0", "Meta-1"


@contextmanager
def gnome_shell(system_bus: PrivateBus, session_bus: PrivateBus, home: Path) -> Iterator[None]:
    """One with two virtual monitors."""
    (runtime := home / "run").mkdir(mode=0o700)
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_SESSION_ID": "c2",
        "XDG_SESSION_TYPE": "wayland",
        "XDG_CURRENT_DESKTOP": "GNOME",
        "DBUS_SYSTEM_BUS_ADDRESS": system_bus.address,
        "DBUS_SESSION_BUS_ADDRESS": session_bus.address,
        "GSETTINGS_BACKEND": "keyfile",
        "LIBGL_ALWAYS_SOFTWARE": "1",
    }
    environment.pop("DISPLAY", None)
    command = ["gnome-shell", "--headless", "--no-x11", "--wayland-display", "guestmux-test"]
    command += ["--virtual-monitor", "1280x720", "--virtual-monitor", "1024x768"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


@pytest.fixture
async def agent(
    system_bus: PrivateBus, session_bus: PrivateBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DesktopAgent]:
    variables = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "WAYLAND_DISPLAY": "guestmux-test"}
    put_into(monkeypatch, {**variables, "XDG_SESSION_TYPE": "wayland"})
    async with desktop_agent(system_bus, session_bus) as agent:
        with gnome_shell(system_bus, session_bus, tmp_path):
            while (await agent.call("session-get-info"))["providers"]["displays"] != "mutter":  # noqa: ASYNC110
                await anyio.sleep(ASK_SECONDS)
            yield agent


def areas(displays: dict[str, dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(one[side] for side in ("x", "y", "width", "height"))
        for name, one in displays.items()
        if one["enabled"]
    }


async def test_what_there_is_and_what_can_be_set(agent: DesktopAgent) -> None:
    displays = await listed(agent)
    assert areas(displays) == {FIRST: (0, 0, 1280, 720), SECOND: (1280, 0, 1024, 768)}
    first = displays[FIRST]
    assert (first["primary"], displays[SECOND]["primary"], first["scale"]) == (True, False, 1.0)
    assert first["mode"] == {"width": 1280, "height": 720, "refresh": 60.0, "preferred": True}
    assert (first["make"], first["model"]) == ("MetaVendor", "MetaVirtualMonitor")
    assert "0x00" not in str(displays)

    after = await set_displays(
        agent,
        {"name": FIRST, "x": 1024, "y": 0},
        {"name": SECOND, "x": 0, "y": 0, "primary": True},
    )
    assert areas(after) == {FIRST: (1024, 0, 1280, 720), SECOND: (0, 0, 1024, 768)}
    assert [after[name]["primary"] for name in (FIRST, SECOND)] == [False, True]

    tested = await set_displays(agent, {"name": FIRST, "rotation": "left"}, test=True)
    assert tested == after
    after = await set_displays(agent, {"name": FIRST, "rotation": "left", "mirrored": True})
    assert areas(after)[FIRST] == (1024, 0, 720, 1280)
    assert (after[FIRST]["rotation"], after[FIRST]["mirrored"]) == ("left", True)

    after = await set_displays(agent, {"name": SECOND, "enabled": False})
    # All together begin at the corner, and one is the first.
    assert areas(after) == {FIRST: (0, 0, 720, 1280)}
    assert after[FIRST]["primary"] is True
    after = await set_displays(agent, {"name": SECOND, "enabled": True})
    assert areas(after)[SECOND] == (720, 0, 1024, 768)

    for setting, error in (
        ({"name": "DP-1"}, "no display 'DP-1'"),
        ({"name": FIRST, "width": 800, "height": 600}, "no such mode"),
        ({"name": SECOND, "x": 5000, "y": 0}, "GNOME does not set its displays so"),
    ):
        with pytest.raises(CallError, match=error):
            await set_displays(agent, setting)
    assert areas(await listed(agent)) == areas(after)


async def test_changes_are_told(agent: DesktopAgent) -> None:
    agent.manager.want("DISPLAY_*")
    async with anyio.create_task_group() as group:

        async def change() -> None:
            while True:
                for rotation in ("left", "normal"):
                    await set_displays(agent, {"name": SECOND, "rotation": rotation})
                    await anyio.sleep(1.0)

        group.start_soon(change)
        told = await agent.until_told("DISPLAY_CHANGED")
        group.cancel_scope.cancel()
    assert {one["name"] for one in told["displays"]} == {FIRST, SECOND}
