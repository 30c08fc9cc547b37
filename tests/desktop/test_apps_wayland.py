"""Applications on a real Wayland compositor."""

import anyio
import pytest

from guestmux_session.desktop.app_sources import AppSources
from guestmux_session.desktop.apps_systemd import SystemdApps
from guestmux_session.desktop.desktop_entries import DesktopEntries
from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.user_manager import UserManager
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import desktop_agent, put_into
from tests.support.sway import Sway

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def in_session(wayland: Sway, monkeypatch: pytest.MonkeyPatch) -> None:
    put_into(monkeypatch, wayland.environment)


async def test_an_application_starts_is_focused_and_exits(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        foot = wayland.run("foot")
        started = await agent.until_told("APP_STARTED")
        assert started == {"app-id": "foot", "name": "Foot"}
        await agent.until_told("APP_FOCUSED", app_id="foot")
        foot.terminate()
        assert await agent.until_told("APP_EXITED") == started
        assert await agent.source() == "wayland-wlr"


async def test_a_compositor_that_nobody_told_of(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY")
    async with desktop_agent(system_bus, session_bus) as agent:
        wayland.run("foot")
        await agent.until_runs("foot")


async def test_windows_of_one_application_are_one(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        wayland.run("foot")
        await agent.until_told("APP_STARTED")
        wayland.run("foot")
        await agent.until_runs("foot", windows=2)
        wayland.run("foot", "--app-id", "other")
        await agent.until_told("APP_FOCUSED", app_id="other")
        agent.forget()
        await agent.call("session-focus-app", app_id="foot")
        await agent.until_told("APP_FOCUSED", app_id="foot")
        assert await agent.call("session-close-app", app_id="foot") == {"windows": 2}
        await agent.until_told("APP_EXITED", app_id="foot")
        assert (await agent.apps()).keys() == {"other"}


async def test_titles_are_told_where_they_may_be(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus, titles=True) as agent:
        await agent.watched()
        wayland.run("foot", "--title", "plän.txt")
        assert (await agent.until_told("APP_STARTED"))["title"] == "plän.txt"


async def test_a_compositor_that_crashes_and_comes_back(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        wayland.run("foot")
        await agent.until_told("APP_STARTED")
        await anyio.to_thread.run_sync(wayland.crash)
        await agent.until_told("APP_EXITED")
        assert "No such file" in await agent.source()
        await anyio.to_thread.run_sync(wayland.restart)
        wayland.run("foot", "--app-id", "again")
        await agent.until_told("APP_STARTED", app_id="again")


async def test_a_compositor_that_has_just_come_is_not_missed(wayland: Sway) -> None:
    async def environment() -> dict[str, str]:
        return wayland.environment

    async def session_type() -> str:
        return "wayland"

    manager, entries = UserManager(), DesktopEntries()
    sources = AppSources(Displays(environment, session_type), manager, entries)
    # Chosen while there was none.
    with anyio.fail_after(20):
        await sources.until_another(SystemdApps(manager, entries, {}))
