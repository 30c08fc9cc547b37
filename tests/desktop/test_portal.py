"""URIs opened by a real xdg-desktop-portal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from guestmux_transport.bus import connect_bus
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.needed_programs import need_programs
from tests.support.x_server import XServer

pytestmark = pytest.mark.anyio

PORTALS = "/usr/libexec"
"""Where Debian has the portal's services."""

HANDLER = """[Desktop Entry]
Type=Application
Name=Handler
Exec=sh -c 'echo "$1" >{path}.part; mv {path}.part {path}' sh %u
MimeType=x-scheme-handler/https;
NoDisplay=true
"""

DEFAULTS = "[Default Applications]\nx-scheme-handler/https=handler.desktop\n"

ASK_SECONDS = 0.05
"""Seconds between two looks for what tells nobody."""


@pytest.fixture
async def agent(
    bare_x: XServer,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> AsyncIterator[DesktopAgent]:
    """The agent of a session with a portal."""
    services = [f"{PORTALS}/{name}" for name in ("xdg-permission-store", "xdg-desktop-portal")]
    need_programs(*services)
    put_into(monkeypatch, {**bare_x.environment, "XDG_RUNTIME_DIR": str(tmp_path)})
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session_bus.address)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    applications = tmp_path / "applications"
    applications.mkdir()
    (applications / "handler.desktop").write_text(HANDLER.format(path=tmp_path / "opened"))
    (tmp_path / "mimeapps.list").write_text(DEFAULTS)
    for service in services:
        bare_x.run(service)
    async with connect_bus(session_bus.address) as bus:
        while True:
            reply = await bus.call(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames"
            )
            if "org.freedesktop.portal.Desktop" in reply.body[0]:
                break
            await anyio.sleep(ASK_SECONDS)
    async with desktop_agent(system_bus, session_bus, uri_schemes=("https",)) as agent:
        yield agent


async def until_there(path: Path) -> str:
    """Wait for a file; gives what is in it."""
    while True:
        if path.exists():
            return path.read_text()
        await anyio.sleep(ASK_SECONDS)


async def test_the_portal_gives_it_to_whom_the_user_chose(agent: DesktopAgent, tmp_path: Path) -> None:
    answer = await agent.call("session-open-uri", uri="https://example.org/$(id)`id`")
    assert answer == {"by": "portal", "confirmed": True}
    assert await until_there(tmp_path / "opened") == "https://example.org/$(id)`id`\n"
