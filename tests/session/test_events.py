"""Events that an agent emits."""

import anyio
import pytest

from guestmux_session import (
    AgentError,
    BadAnswer,
    Denied,
    Disconnected,
    InvalidArgument,
    LimitExceeded,
    ManagerRefused,
    NotRegistered,
    UndeclaredEvent,
)
from guestmux_transport.errors import MethodError
from guestmux_transport.names import ERROR_PREFIX, MANAGER_PATH
from guestmux_transport.values import Variant
from tests.session.conftest import Running
from tests.support.clock_agent import Clock, Tick
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import standin_manager

pytestmark = pytest.mark.anyio

TICKED = "__org.example_TICKED"


async def test_an_event_arrives_with_its_data(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager, running(clock):
        await manager.agent()
        await clock.until_registered()
        assert await clock.ticked(Tick(count=1, unit_name="min")) == 2
        await clock.emit(TICKED, {"count": 2})
    assert ("emit", TICKED, {"count": 1, "unit-name": "min"}) in manager.log
    assert ("emit", TICKED, {"count": 2}) in manager.log


async def test_what_is_not_declared_is_not_sent(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager, running(clock):
        await manager.agent()
        await clock.until_registered()
        with pytest.raises(UndeclaredEvent, match="declares no event 'SESSION_LOCK'"):
            await clock.emit("SESSION_LOCK", {})
        assert not [entry for entry in manager.log if entry[0] == "emit"]


async def test_without_a_registration_nothing_can_be_sent(system_bus: PrivateBus) -> None:
    with pytest.raises(NotRegistered):
        await Clock(bus=system_bus.address).ticked(Tick(count=1))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (ERROR_PREFIX + "LimitExceeded", LimitExceeded),
        (ERROR_PREFIX + "Denied", Denied),
        (ERROR_PREFIX + "InvalidArgument", InvalidArgument),
        (ERROR_PREFIX + "SomethingNew", ManagerRefused),
        ("org.freedesktop.DBus.Error.NoReply", Disconnected),
    ],
)
async def test_refusals_are_typed(
    system_bus: PrivateBus, running: Running, name: str, kind: type[AgentError]
) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager, running(clock):
        await manager.agent()
        await clock.until_registered()
        manager.emit_answer = MethodError(name, "its own words")
        with pytest.raises(kind, match="its own words"):
            await clock.ticked(Tick(count=1))


@pytest.mark.parametrize("data", [{"count": 2**70}, {"count": object()}, {"text": "a\0b"}])
async def test_data_that_cannot_be_sent_is_refused_here(
    system_bus: PrivateBus, running: Running, data: dict[str, object]
) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager, running(clock):
        await manager.agent()
        await clock.until_registered()
        with pytest.raises(InvalidArgument):
            await clock.emit(TICKED, data)
        await clock.ticked(Tick(count=1))


async def test_an_answer_without_a_number_is_not_believed(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager, running(clock):
        await manager.agent()
        await clock.until_registered()
        manager.bus.export(MANAGER_PATH, manager.interface(emit_out=""))
        with pytest.raises(BadAnswer):
            await clock.ticked(Tick(count=1))


async def test_wanted_events_follow_the_hosts(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager, running(clock):
        await manager.agent()
        await clock.until_registered()
        assert not clock.wanted(TICKED)
        async with anyio.create_task_group() as group:
            group.start_soon(clock.ticked.until_wanted)
            manager.want("SESSION_*", "__org.example_*", "no pattern!")
        assert clock.ticked.wanted
        assert not clock.wanted("AGENT_GONE")


async def test_what_does_not_leave_the_guest_is_known(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager:
        manager.granted = {
            "withheld": Variant("a{sas}", {TICKED: ["count"]}),
            "dropped": Variant("as", ["X"]),
        }
        manager.want("*")
        async with running(clock):
            await clock.ticked.until_wanted()
            assert clock.withheld(TICKED) == {"count"}
            assert (clock.ticked.withholds("count"), clock.ticked.withholds("name")) == (True, False)
        manager.granted = {"withheld": Variant("a{sas}", {TICKED: ["*"]}), "dropped": Variant("s", "no list")}
        async with running(clock):
            await clock.ticked.until_wanted()
            assert clock.ticked.withholds("name")
    assert not clock.ticked.withholds("count")


async def test_what_is_dropped_nobody_wants(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager:
        manager.granted = {"dropped": Variant("as", [TICKED])}
        manager.want("*")
        async with running(clock):
            await clock.until_registered()
            await manager.agent()
            assert not clock.ticked.wanted


async def test_wanted_events_are_known_from_the_start(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager:
        manager.want("*")
        async with running(clock):
            await clock.ticked.until_wanted()
    assert not clock.ticked.wanted


async def test_an_eventd_that_cannot_say_wants_everything(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager:
        manager.bus.export(MANAGER_PATH, manager.interface(wanted=False))
        async with running(clock):
            await clock.ticked.until_wanted()


async def test_what_watches_runs_only_while_registered(system_bus: PrivateBus, running: Running) -> None:
    class Watching(Clock):
        watching = 0

        async def while_registered(self) -> None:
            self.watching += 1
            try:
                await self.ticked.until_wanted()
                await self.ticked(Tick(count=self.watching))
                await anyio.sleep_forever()
            finally:
                self.watching -= 1

    clock = Watching(bus=system_bus.address)
    async with running(clock):
        async with standin_manager(system_bus.address) as manager:
            manager.want("*")
            await manager.logged("emit", TICKED, {"count": 1})
        async with standin_manager(system_bus.address) as second:
            await second.agent()
            assert clock.watching <= 1
            second.want("*")
            await second.logged("emit", TICKED, {"count": 1})
    assert clock.watching == 0


async def test_an_agent_claims_what_its_session_is_like(system_bus: PrivateBus, running: Running) -> None:
    agent = Clock(bus=system_bus.address)
    with pytest.raises(NotRegistered):
        await agent.claim("locked", {"org.example.Locker": True})
    async with standin_manager(system_bus.address) as manager, running(agent):
        await manager.agent()
        await agent.until_registered()
        await agent.claim("locked", {"org.example.Locker": True})
        await manager.logged("claim", "locked", {"org.example.Locker": True})
        manager.claim_answer = MethodError(ERROR_PREFIX + "Denied", "not yours")
        with pytest.raises(Denied, match="not yours"):
            await agent.claim("idle", {})
