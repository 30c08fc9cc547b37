"""An agent on a private bus, with a stand-in for eventd."""

import logging
from typing import Any

import pytest
from tests.session.conftest import Running
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import standin_manager

from guestmux_session import Agent, CommandError, Data, Event, command
from guestmux_transport.errors import CallError

pytestmark = pytest.mark.anyio


class Tick(Data, frozen=True, kw_only=True):
    """It ticked."""

    count: int
    unit_name: str = "s"


class Clock(Agent):
    name = "org.example.clock"
    version = "1.0"
    ticked = Event("__org.example_TICKED", Tick)

    @command("__org.example_time")
    async def time(self, zone: str, *, precise: bool = False, offset: int | None = None) -> dict[str, Any]:
        """Tell the time."""
        return {"zone": zone, "precise": precise, "offset": offset}

    @command("__org.example_add")
    def add(self, left: int, right: int = 1) -> int:
        """Add."""
        return left + right

    @command("__org.example_fail")
    async def fail(self, text: str) -> None:
        """Fail as meant."""
        raise CommandError(text)

    @command("__org.example_crash")
    async def crash(self) -> None:
        """Fail as not meant."""
        raise RuntimeError("secret detail")


async def test_a_command_gets_typed_arguments_and_its_result_comes_back(
    system_bus: PrivateBus, running: Running
) -> None:
    async with standin_manager(system_bus.address) as manager, running(Clock(bus=system_bus.address)):
        agent = await manager.agent("org.example.clock")
        assert await manager.call(agent, "__org.example_time", {"zone": "UTC", "offset": 3}) == {
            "zone": "UTC",
            "precise": False,
            "offset": 3,
        }
        assert await manager.call(agent, "__org.example_add", {"left": 40, "right": 2}) == 42


async def test_errors(system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture) -> None:
    async with standin_manager(system_bus.address) as manager, running(Clock(bus=system_bus.address)):
        agent = await manager.agent()
        with pytest.raises(CallError) as caught:
            await manager.call(agent, "__org.example_fail", {"text": "no\nway"})
        assert (caught.value.name, caught.value.text) == ("org.guestmux.Error.CommandFailed", "no way")
        with caplog.at_level(logging.ERROR), pytest.raises(CallError) as caught:
            await manager.call(agent, "__org.example_crash")
        assert "secret detail" not in caught.value.text
        assert "internal error in __org.example_crash" in caught.value.text
        assert "secret detail" in caplog.text
