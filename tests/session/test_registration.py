"""How an agent registers, keeps registered, and comes back."""

import logging
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_session import CommandError, command
from guestmux_transport.bus import connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.errors import CallError, MethodError
from guestmux_transport.names import ERROR_PREFIX, MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from tests.session.conftest import Running
from tests.support.clock_agent import Clock
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import standin_manager

pytestmark = pytest.mark.anyio


class Extra:
    """A part that comes and goes."""

    @command("__org.example_extra")
    async def extra(self) -> str:
        """Be there."""
        return "here"


async def test_it_says_who_it_is(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address, session="c7")
    async with standin_manager(system_bus.address) as manager, running(clock):
        agent = await manager.agent()
        assert (agent.name, agent.version, agent.claim) == ("org.example.clock", "1.0", "c7")
        assert "__org.example_time" in agent.commands
        assert agent.events == {
            "__org.example_TICKED": '{"data": {"count": "int", "*unit-name": "str"}, "doc": "It ticked."}'
        }


async def test_it_waits_for_eventd_and_takes_its_leave(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock) as scope, standin_manager(system_bus.address) as manager:
        await clock.is_registered.wait()
        assert clock.session == "c2"
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await manager.logged("unregistered")
    assert clock.session == ""
    assert clock.hooks == [("registered", "c2"), ("released", "the agent is stopping")]


async def test_it_registers_again_when_eventd_restarts(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        async with standin_manager(system_bus.address):
            await clock.is_registered.wait()
        await clock.is_released.wait()
        async with standin_manager(system_bus.address) as second:
            agent = await second.agent()
            await clock.is_registered.wait()
            assert await second.call(agent, "__org.example_add", {"left": 1}) == 2
    assert [hook for hook, _ in clock.hooks] == ["registered", "released", "registered", "released"]
    assert clock.hooks[1] == ("released", "eventd went away")


async def test_it_registers_again_when_the_bus_restarts(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(bus=system_bus.address)
    caplog.set_level(logging.INFO)
    async with running(clock):
        with pytest.raises(BaseExceptionGroup):  # noqa: PT012 - the manager's own connection breaks as well
            async with standin_manager(system_bus.address) as manager, anyio.create_task_group() as group:
                await clock.is_registered.wait()
                group.start_soon(manager.call, await manager.agent(), "__org.example_wait")
                await clock.entered.wait()
                system_bus.kill()
        await clock.is_released.wait()
        await clock.cancelled.wait()
        system_bus.restart()
        async with standin_manager(system_bus.address) as second:
            assert await second.call(await second.agent(), "__org.example_add", {"left": 1}) == 2
    lost = [record for record in caplog.records if "lost the bus" in record.message]
    assert len(lost) == 1


async def test_calls_of_an_eventd_that_went_are_cancelled(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        async with standin_manager(system_bus.address) as manager, anyio.create_task_group() as group:
            group.start_soon(manager.call, await manager.agent(), "__org.example_wait")
            await clock.entered.wait()
            group.cancel_scope.cancel()
        await clock.cancelled.wait()


async def test_a_refusal_is_said_once_and_tried_again(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with standin_manager(system_bus.address) as manager:
        manager.refuse = MethodError(ERROR_PREFIX + "NotInSession", "you are in no session")
        async with running(Clock(bus=system_bus.address)):
            while sum(entry[0] == "refused" for entry in manager.log) < 2:
                await manager.changed()
            manager.refuse = None
            await manager.agent()
    said = [record for record in caplog.records if "you are in no session" in record.message]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("signature", "answer"),
    [("", ()), ("u", (1,)), ("sa{sv}", ("", {})), ("a{sv}s", ({}, "c2"))],
)
async def test_an_answer_that_makes_no_sense_is_said_and_not_believed(
    system_bus: PrivateBus,
    running: Running,
    caplog: pytest.LogCaptureFixture,
    signature: str,
    answer: tuple[Any, ...],
) -> None:
    asked = anyio.Semaphore(0)

    def register(_call: IncomingCall) -> Results:
        asked.release()
        return answer

    clock = Clock(bus=system_bus.address)
    async with connect_bus(system_bus.address) as bus, running(clock):
        methods = {"RegisterAgent": ("osa{sv}", signature, register)}
        bus.export(MANAGER_PATH, Interface(MANAGER_INTERFACE, methods=methods))
        await bus.request_name(MANAGER_NAME)
        await asked.acquire()
        await asked.acquire()
        assert clock.session == ""
    assert "did not answer RegisterAgent with a session" in caplog.text


async def test_release_ends_the_registration_until_there_is_a_new_eventd(
    system_bus: PrivateBus, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        async with standin_manager(system_bus.address) as manager:
            agent = await manager.agent()
            await clock.is_registered.wait()
            await manager.release(agent)
            await clock.is_released.wait()
            with pytest.raises(CallError) as caught:
                await manager.call(agent, "__org.example_add", {"left": 1})
            assert caught.value.name == "org.guestmux.Error.NotRegistered"
        async with standin_manager(system_bus.address) as second:
            await second.agent()
    assert ("released", "eventd released it") in clock.hooks


async def test_a_part_that_comes_and_goes_is_declared_anew(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    extra = Extra()
    async with standin_manager(system_bus.address) as manager, running(clock):
        assert "__org.example_extra" not in (await manager.agent()).commands
        manager.log.clear()
        clock.provide(extra)
        await manager.logged("registered")
        agent = await manager.agent()
        assert await manager.call(agent, "__org.example_extra") == "here"
        manager.log.clear()
        clock.withdraw(extra)
        await manager.logged("registered")
        assert "__org.example_extra" not in (await manager.agent()).commands
        assert not any(entry[0] == "unregistered" for entry in manager.log)


async def test_a_call_goes_on_while_a_part_comes(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    results: list[str] = []

    async with standin_manager(system_bus.address) as manager, running(clock):
        agent = await manager.agent()

        async def wait() -> None:
            results.append(await manager.call(agent, "__org.example_wait"))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await clock.entered.wait()
            manager.log.clear()
            clock.provide(Extra())
            await manager.logged("registered")
            clock.gate.set()
    assert results == ["opened"]


async def test_two_parts_cannot_serve_one_command(system_bus: PrivateBus) -> None:
    clock = Clock(bus=system_bus.address)
    clock.provide(Extra())
    with pytest.raises(TypeError, match=r"serves .* already"):
        clock.provide(Extra())


async def test_an_authors_mistake_in_a_hook_ends_the_agent(system_bus: PrivateBus) -> None:
    class Broken(Clock):
        async def registered(self, session: str) -> None:
            raise CommandError("a mistake")

    async with standin_manager(system_bus.address) as manager:
        with pytest.raises(BaseExceptionGroup) as caught:
            await Broken(bus=system_bus.address).run()
        assert caught.group_contains(CommandError, match="a mistake")
        assert ("unregistered", "org.example.clock") in manager.log


async def test_no_bus_at_all_is_said_once(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    system_bus.kill()
    caplog.set_level(logging.INFO)
    async with running(Clock(bus=system_bus.address)):
        while "no D-Bus at" not in caplog.text:
            await anyio.lowlevel.checkpoint()
        system_bus.restart()
        async with standin_manager(system_bus.address) as manager:
            await manager.agent()
    assert sum("no D-Bus at" in record.message for record in caplog.records) == 1
