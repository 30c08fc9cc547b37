"""Applications on a real X server that nobody manages yet."""

import anyio
import pytest

from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import desktop_agent, put_into
from tests.support.standin_user_manager import standin_user_manager
from tests.support.x_server import XServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_units_where_no_window_manager_lists_windows(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with standin_user_manager(session_bus.address) as manager:
        manager.environment = [f"{name}={value}" for name, value in bare_x.environment.items()]
        manager.start_unit("app-kiosk-1.scope", 5)
        async with desktop_agent(system_bus, session_bus) as agent:
            assert await agent.source() == "systemd"
            agent.manager.want("APP_*")
            while not manager.subscribers:
                assert (await agent.apps()).keys() == {"kiosk"}
            await anyio.to_thread.run_sync(bare_x.manage)
            await agent.until_told("APP_EXITED", app_id="kiosk")
            xterm = bare_x.run("xterm")
            await agent.until_told("APP_STARTED", pid=xterm.pid)
            assert await agent.source() == "x11-ewmh"
