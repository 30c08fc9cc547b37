"""xscreensaver, which tells nobody but the X server that it has locked."""

from __future__ import annotations

import anyio
import pytest

from guestmux_session.lock_logind import LockLogind
from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.needed_programs import need_programs
from tests.support.x_server import XServer
from tests.support.xscreensaver import XScreensaver, xscreensaver

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

NAME = "xscreensaver"


@pytest.fixture(autouse=True)
def needed() -> None:
    need_programs("xscreensaver", "xscreensaver-command", "xprop")


async def until_asked(agent: DesktopAgent) -> None:
    """Wait until the agent finds the daemon: nothing tells when that is ready."""
    while NAME not in (await agent.call("session-get-info"))["providers"]["lock"]:  # noqa: ASYNC110 - nobody tells
        await anyio.sleep(0.05)


async def in_thread(daemon: XScreensaver, option: str) -> None:
    await anyio.to_thread.run_sync(daemon.command, option)


async def test_a_lock_is_told_and_a_crash_ends_it(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus) as agent:
        agent.manager.want("SESSION_LOCK")
        with xscreensaver(bare_x) as daemon:
            await agent.until_claimed("locked", **{NAME: False})
            await in_thread(daemon, "-lock")
            await agent.until_claimed("locked", **{NAME: True})
            with pytest.raises(CallError, match="screensaver is active"):
                await agent.call("session-clipboard-list")
            # The screen is open then, which a host has to hear.
            agent.forget()
            daemon.kill()
            await agent.until_claimed("locked", **{NAME: False})
        agent.forget()
        with xscreensaver(bare_x) as daemon:
            await until_asked(agent)
            await in_thread(daemon, "-lock")
            await agent.until_claimed("locked", **{NAME: True})
            agent.manager.want()
            await agent.until_claimed("locked")


async def test_it_is_asked_to_lock_where_nobody_follows_logind(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LockLogind, "follow_seconds", 0.05)
    put_into(monkeypatch, bare_x.environment)
    with xscreensaver(bare_x):
        async with desktop_agent(system_bus, session_bus) as agent:
            await agent.logind.control.set_locker("c2", present=False)
            await until_asked(agent)
            assert (await agent.call("session-get-info"))["providers"]["lock"] == f"logind, {NAME}"
            state = await agent.call("session-lock")
            values = {"logind": False, NAME: True}
            assert state == {"locked": True, "confirmed": True, "said-by": [NAME], "values": values}


async def test_what_a_daemon_left_behind_or_another_wrote_is_no_lock(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    status = "_SCREENSAVER_STATUS"
    async with desktop_agent(system_bus, session_bus) as agent:
        for kind, value in (("32a", "LOCK"), ("8s", "LOCK"), ("8s", "")):
            bare_x.ask("xprop", "-root", "-f", status, kind, "-set", status, value)
            assert await agent.call("session-clipboard-list") == {
                "formats": [],
                "sizes": {},
                "truncated": False,
            }
