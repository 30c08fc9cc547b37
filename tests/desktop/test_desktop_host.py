"""From the host's command line to real displays and applications: a real eventd, the stock agent, a real X server."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest

import guestmux
from guestmux.cli import exits
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_guest import desktop_guest
from tests.support.needed_programs import need_programs
from tests.support.x_server import XServer
from tests.support.xorg import xorg

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[XServer]:
    need_programs("Xorg", "xrandr", "openbox", "xterm", "gio")
    with xorg(tmp_path) as server:
        server.manage()
        yield server


@pytest.fixture
async def address(server: XServer, system_bus: PrivateBus, tmp_path: Path) -> AsyncIterator[str]:
    data = {"XDG_DATA_HOME": str(tmp_path / "data"), "LANG": "de_DE.UTF-8"}
    async with desktop_guest(system_bus, {**server.environment, **data}) as address:
        yield address


async def run(address: str, *arguments: str) -> tuple[int, str, str]:
    done = await anyio.run_process(
        [sys.executable, "-m", "guestmux", *arguments],
        env={**os.environ, ADDRESS_VARIABLE: address},
        check=False,
        stderr=PIPE,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_displays(address: str, server: XServer) -> None:
    status, out, _ = await run(address, "displays", "list")
    assert status == exits.OK
    assert out.splitlines()[1].split() == ["DUMMY0*", "1024x768@85", "+0+0", "1024x768", "1", "normal"]
    status, out, _ = await run(address, "displays", "set", "DUMMY0", "--mode", "1234x567")
    assert (status, len(out.splitlines())) == (exits.OK, 2)
    assert "current 1234 x 567" in server.ask("xrandr", "-q")
    status, _, said = await run(address, "displays", "set", "DUMMY0", "--off")
    assert (status, said) == (exits.FAILED, "guestmux: the guest says: one display must stay on\n")


async def test_a_display_that_is_set_is_told(address: str) -> None:
    sizes = itertools.count(700)

    async def change(guest: guestmux.Guest) -> None:
        """Again and again: what there is when the agent begins to watch has not changed."""
        while True:
            setting = guestmux.DisplaySetting(name="DUMMY0", width=next(sizes), height=600)
            await guest.set_displays([setting])
            await anyio.sleep(1)

    async with (
        guestmux.connect(address) as guest,
        guest.events("DISPLAY_CHANGED") as events,
        anyio.create_task_group() as group,
    ):
        group.start_soon(change, guest)
        async for item in events:
            if isinstance(item, guestmux.Event):
                break
        group.cancel_scope.cancel()
    assert isinstance(item, guestmux.Event)
    assert (item.data["source"], item.data["agent"]) == ("claimed", "guestmux-session")
    (display,) = item.data["displays"]
    assert (display["name"], display["enabled"], display["height"]) == ("DUMMY0", True, 600)
    assert 700 <= display["width"] < next(sizes)


async def test_apps(address: str, server: XServer, tmp_path: Path) -> None:
    status, out, _ = await run(address, "apps", "installed", "--json")
    assert status == exits.OK
    assert "debian-xterm" in [app["app-id"] for app in json.loads(out)["apps"]]
    assert await run(address, "apps", "launch", "debian-xterm") == (exits.OK, "", "")
    await until_runs(address, "debian-xterm")
    assert await run(address, "apps", "focus", "debian-xterm") == (exits.OK, "", "")
    assert await run(address, "apps", "close", "debian-xterm") == (exits.OK, "", "")
    await until_runs(address, "")


async def until_runs(address: str, app_id: str) -> None:
    """Ask until this runs, or with nothing until nothing does."""
    while True:
        _, out, _ = await run(address, "apps", "list")
        if [line.split()[0].rstrip("*") for line in out.splitlines()[1:]] == ([app_id] if app_id else []):
            return
        await anyio.sleep(0.1)


async def test_what_the_user_installs(address: str, tmp_path: Path) -> None:
    path = tmp_path / "data/applications/mine.desktop"

    async def install() -> None:
        """Again and again: what is there when the agent begins to watch was not installed then."""
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("[Desktop Entry]\nType=Application\nName=Mine\nName[de]=Meins\n")
            await anyio.sleep(3)
            path.unlink()
            await anyio.sleep(3)

    async with (
        guestmux.connect(address) as guest,
        guest.events("PACKAGES_CHANGED") as events,
        anyio.create_task_group() as group,
    ):
        group.start_soon(install)
        async for item in events:
            # The machine's own package manager may be at work as well.
            if isinstance(item, guestmux.Event) and item.data["installed"] and item.data["scope"] == "user":
                break
        group.cancel_scope.cancel()
    assert isinstance(item, guestmux.Event)
    members = {name: item.data[name] for name in ("source", "agent", "manager", "scope", "installed")}
    assert members == {
        "source": "claimed",
        "agent": "guestmux-session",
        "manager": "desktop-files",
        "scope": "user",
        "installed": [{"name": "mine", "architecture": "", "version": ""}],
    }
    _, out, _ = await run(address, "apps", "installed")
    assert ["mine", "Meins", "user", "user"] in [line.split() for line in out.splitlines()]
