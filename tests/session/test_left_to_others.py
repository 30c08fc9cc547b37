"""What the guest's administrator has left to another agent: the stock one neither serves, watches nor emits it."""

from __future__ import annotations

import anyio
import pytest

from guestmux_session.session_config import SessionConfig
from guestmux_session.stock import SessionAgent
from tests.session.conftest import Running
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import standin_manager

pytestmark = pytest.mark.anyio

APPS = ("session-list-apps", "session-focus-app", "session-close-app")


async def test_commands_and_events_of_others(
    system_bus: PrivateBus, session_bus: PrivateBus, running: Running
) -> None:
    config = SessionConfig(left_to_others=(*APPS, "APP_*", "session-get-*"))
    agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address, config=config)
    async with standin_manager(system_bus.address) as manager, running(agent):
        served = (await manager.agent()).commands
        assert not {*APPS, "session-get-info"} & served.keys()
        assert {"session-launch", "session-clipboard-get"} <= served.keys()
        manager.want("*")
        # Of the first none is its own, so that only the other comes to be wanted.
        await agent.until_wanted("APP_STARTED", "DISPLAY_CHANGED")
        assert not agent.wanted("APP_STARTED")
        assert agent.wanted("DISPLAY_CHANGED")
        await agent.until_unwanted("APP_STARTED", "APP_FOCUSED")
        with anyio.move_on_after(0.1) as scope:
            await agent.until_wanted("APP_STARTED")
        assert scope.cancelled_caught
