"""Applications started by the desktop's own launcher, on a real X server."""

from pathlib import Path

import pytest

from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DESKTOP_VARIABLES, desktop_agent, put_into
from tests.support.standin_user_manager import standin_user_manager
from tests.support.x_server import XServer

pytestmark = pytest.mark.anyio

HANDLER = """[Desktop Entry]
Type=Application
Name=Handler
Exec=sh -c 'echo "$1" >{path}; exec xterm -class Handler' sh %u
StartupWMClass=Handler
MimeType=x-scheme-handler/guestmux-test;
NoDisplay=true
"""

DEFAULTS = "[Default Applications]\nx-scheme-handler/guestmux-test=handler.desktop\n"


@pytest.fixture(autouse=True)
def in_session(x: XServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_into(monkeypatch, x.environment)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


async def test_an_installed_application(x: XServer, system_bus: PrivateBus, session_bus: PrivateBus) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        assert await agent.call("session-launch", app_id="debian-xterm") == {"by": "gio"}
        await agent.until_told("APP_STARTED", app_id="debian-xterm")


async def test_a_uri_goes_to_whom_the_user_chose(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, tmp_path: Path
) -> None:
    opened = _install_handler(tmp_path)
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        await agent.call("session-launch", uris=["guestmux-test:$(echo --evil)"])
        await agent.until_told("APP_STARTED", app_id="handler")
    assert opened.read_text() == "guestmux-test:$(echo --evil)\n"


async def test_a_host_opens_a_uri(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, tmp_path: Path
) -> None:
    opened = _install_handler(tmp_path)
    async with desktop_agent(system_bus, session_bus, uri_schemes=("guestmux-test",)) as agent:
        await agent.watched()
        answer = await agent.call("session-open-uri", uri="guestmux-test:$(id)`id`")
        await agent.until_told("APP_STARTED", app_id="handler")
        assert answer == {"by": "gio", "confirmed": True}
        assert opened.read_text() == "guestmux-test:$(id)`id`\n"
        await agent.call("session-open-uri", uri="guestmux-test:2", app_id="handler.desktop")
        with pytest.raises(CallError, match="does not say that it opens 'guestmux-test'"):
            await agent.call("session-open-uri", uri="guestmux-test:2", app_id="debian-xterm")


async def test_a_uri_that_hosts_may_not_have_opened(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, tmp_path: Path
) -> None:
    opened = _install_handler(tmp_path)
    async with desktop_agent(system_bus, session_bus) as agent:
        with pytest.raises(CallError, match="hosts may not have 'guestmux-test' opened"):
            await agent.call("session-open-uri", uri="guestmux-test:1")
    assert not opened.exists()


async def test_what_is_started_has_a_scope_of_its_own(
    x: XServer, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with standin_user_manager(session_bus.address) as manager:
        manager.environment = [
            f"{name}={x.environment[name]}" for name in DESKTOP_VARIABLES if name in x.environment
        ]
        async with desktop_agent(system_bus, session_bus) as agent:
            await agent.watched()
            await agent.call("session-launch", app_id="debian-xterm")
            await agent.until_told("APP_STARTED")
        (scope,) = manager.scopes
    assert scope.unit.startswith(r"app-guestmux-debian\x2dxterm-")
    # It was there before it did anything.
    assert scope.state == "T"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"app_id": "no-such"}, "no application 'no-such' is installed"),
        ({}, "name an application, or exactly one URI"),
        ({"uris": ["--help"]}, "is no URI"),
        ({"uris": ["no-such-scheme-of-ours:x"]}, "could not open 'no-such-scheme-of-ours:x'"),
    ],
)
async def test_what_cannot_be_started(
    arguments: dict[str, object], error: str, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        with pytest.raises(CallError, match=error):
            await agent.call("session-launch", **arguments)


def _install_handler(folder: Path) -> Path:
    """Install an application for URIs of a scheme; gives the file that it writes them to."""
    opened = folder / "opened"
    applications = folder / "applications"
    applications.mkdir()
    (applications / "handler.desktop").write_text(HANDLER.format(path=opened))
    (folder / "mimeapps.list").write_text(DEFAULTS)
    return opened
