"""Applications by the units of the user's systemd, where no display server tells."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.standin_user_manager import StandinUserManager, standin_user_manager

pytestmark = pytest.mark.anyio

SCOPE = r"app-gnome-no\x2dsuch\x2deditor-123.scope"
EDITOR = {"app-id": "no-such-editor", "name": "no-such-editor", "pid": 5}


@pytest.fixture
def system_bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@pytest.fixture
def session_bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    put_into(monkeypatch, {"XDG_SESSION_TYPE": "tty", "XDG_DATA_DIRS": "/nosuch"})


@pytest.fixture
async def manager(session_bus: PrivateBus) -> AsyncIterator[StandinUserManager]:
    async with standin_user_manager(session_bus.address) as manager:
        manager.start_unit("app-already-1.scope", os.getpid())
        manager.start_unit("app-guestmux-exec-0123.scope", 7)
        manager.start_unit("dbus.service", 8)
        yield manager


async def followed(agent: DesktopAgent, manager: StandinUserManager) -> None:
    agent.manager.want("APP_STARTED", "APP_EXITED")
    while not manager.subscribers:
        await agent.call("session-list-apps")


async def test_applications_start_and_exit(
    system_bus: PrivateBus, session_bus: PrivateBus, manager: StandinUserManager
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await followed(agent, manager)
        assert await agent.source() == "systemd"
        assert (await agent.apps()).keys() == {"already"}
        manager.start_unit(SCOPE, 9, 5)
        assert await agent.until_told("APP_STARTED") == EDITOR
        manager.start_unit("app-gone-2.scope", 6)
        manager.end_unit(SCOPE)
        assert await agent.until_told("APP_EXITED") == EDITOR
        agent.manager.want()
        while manager.subscribers:
            await anyio.lowlevel.checkpoint()
            await agent.source()


async def test_what_can_be_done_with_them(
    system_bus: PrivateBus, session_bus: PrivateBus, manager: StandinUserManager
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        assert await agent.call("session-close-app", app_id="already") == {"windows": 0}
        assert manager.killed == [("app-already-1.scope", 15)]
        with pytest.raises(CallError, match="none can be focused"):
            await agent.call("session-focus-app", app_id="already")
        with pytest.raises(CallError, match="no application 'x' is running"):
            await agent.call("session-close-app", app_id="x")
    assert manager.subscribers == 0


async def test_a_manager_that_refuses(
    system_bus: PrivateBus, session_bus: PrivateBus, manager: StandinUserManager
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await followed(agent, manager)
        manager.refuses = True
        manager.start_unit(SCOPE, 5)
        await agent.until_told("APP_EXITED", app_id="already")
        with pytest.raises(CallError, match="not today"):
            await agent.call("session-list-apps")
        manager.refuses = False
        assert await agent.until_told("APP_STARTED", app_id="no-such-editor") == EDITOR


async def test_no_session_bus(system_bus: PrivateBus, session_bus: PrivateBus) -> None:
    session_bus.kill()
    async with desktop_agent(system_bus, session_bus) as agent:
        assert "no session bus" in await agent.source()
        with pytest.raises(CallError, match="not known: no display server to ask"):
            await agent.call("session-list-apps")


async def test_a_session_bus_that_goes_while_it_is_followed(
    system_bus: PrivateBus, session_bus: PrivateBus, manager: StandinUserManager
) -> None:
    async with desktop_agent(system_bus, session_bus) as agent:
        await followed(agent, manager)
        session_bus.kill()
        await agent.until_told("APP_EXITED", app_id="already")
