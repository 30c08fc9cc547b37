"""Calls to an agent on a private bus, with a stand-in for eventd."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from guestmux_session.declarations import command_schema, commands_of
from guestmux_transport.bus import connect_bus
from guestmux_transport.errors import CallError
from guestmux_transport.names import AGENT_INTERFACE
from guestmux_transport.values import Variant
from tests.session.conftest import Running
from tests.support.clock_agent import Clock
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import Registered, StandinManager, standin_manager

pytestmark = pytest.mark.anyio

FAILED = "org.guestmux.Error.CommandFailed"
INVALID = "org.guestmux.Error.InvalidArgument"


@dataclass
class Scene:
    """A registered agent, and the manager that calls it."""

    clock: Clock
    manager: StandinManager
    agent: Registered

    async def call(self, command: str, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
        return await self.manager.call(self.agent, f"__org.example_{command}", arguments, **options)

    async def refused(
        self, command: str, arguments: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, str]:
        with pytest.raises(CallError) as caught:
            await self.call(command, arguments, **options)
        return caught.value.name, caught.value.text


@pytest.fixture
async def scene(system_bus: PrivateBus, running: Running) -> AsyncIterator[Scene]:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager, running(clock):
        yield Scene(clock, manager, await manager.agent("org.example.clock"))
        clock.gate.set()
        clock.thread_gate.set()


async def test_arguments_and_result_are_typed(scene: Scene) -> None:
    answer = await scene.call("time", {"zone": "UTC", "is-precise": True})
    assert answer == {"zone": "UTC", "precise": True, "offset": None}
    assert await scene.call("add", {"left": 40, "right": 2}) == 42
    assert await scene.call("tick") == {"count": 3}
    assert await scene.call("value", {"kind": "list"}) == [1, 2]


def test_a_methods_signature_is_the_commands_schema() -> None:
    assert json.loads(
        command_schema(commands_of(Clock(bus="unix:path=/nowhere"))["__org.example_time"].description)
    ) == {
        "data": {"zone": "str", "*is-precise": "bool", "*offset": "int"},
        "returns": "any",
        "doc": "Tell the time.",
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "Parameter 'zone' is missing"),
        ({"zone": 1}, "Invalid parameter type for 'zone', expected: string"),
        ({"zone": "UTC", "color": "red"}, "Parameter 'color' is unexpected"),
        ({"zone": "UTC", "is-precise": "yes"}, "Invalid parameter type for 'is-precise', expected: boolean"),
        ({"zone": None}, "Invalid parameter type for 'zone', expected: string"),
    ],
)
async def test_wrong_arguments_get_qemus_texts(scene: Scene, arguments: dict[str, Any], text: str) -> None:
    assert await scene.refused("time", arguments) == (INVALID, text)


async def test_an_unknown_command_gets_qemus_text(scene: Scene) -> None:
    name, text = await scene.refused("nothing")
    assert name == "org.guestmux.Error.CommandNotFound"
    assert text == "The command __org.example_nothing has not been found"


@pytest.mark.parametrize(
    "context",
    [{"id": Variant("s", "1")}, {"deadline": Variant("t", 3)}, {"deadline": Variant("d", float("nan"))}],
)
async def test_a_context_of_wrong_types_is_refused(scene: Scene, context: dict[str, Variant]) -> None:
    name, _text = await scene.refused("tick", context=context)
    assert name == INVALID


async def test_a_context_may_be_empty_or_have_more(scene: Scene) -> None:
    assert await scene.call("tick", context={}) == {"count": 3}
    assert await scene.call("tick", context={"new": Variant("s", "x")}) == {"count": 3}


async def test_a_meant_failure_reaches_the_caller_in_one_line(scene: Scene) -> None:
    assert await scene.refused("fail", {"text": "no\nway"}) == (FAILED, "no way")
    assert await scene.refused("fail_grouped") == (FAILED, "from the group")
    _name, text = await scene.refused("fail", {"text": "x" * 10_000})
    assert len(text) == 1000


async def test_an_exception_is_for_the_agents_log_alone(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        name, text = await scene.refused("crash")
    assert name == FAILED
    assert text == "internal error in __org.example_crash; the agent's log says more"
    assert "RuntimeError: secret detail" in caplog.text


@pytest.mark.parametrize("kind", ["number", "object", "none", "deep"])
async def test_a_result_that_was_not_declared_is_an_internal_error(
    scene: Scene, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        name, text = await scene.refused("value", {"kind": kind})
    assert (name, text.split(";")[0]) == (FAILED, "internal error in __org.example_value")
    assert "returned what it did not declare" in caplog.text
    assert await scene.call("tick") == {"count": 3}


@pytest.mark.parametrize("text", ["nan", "inf"])
async def test_a_number_that_json_has_not_is_an_internal_error(scene: Scene, text: str) -> None:
    assert (await scene.refused("number", {"text": text}))[0] == FAILED
    assert await scene.call("number", {"text": "1.5"}) == 1.5


async def test_a_result_over_the_size_limit_says_so(scene: Scene) -> None:
    name, text = await scene.refused("value", {"kind": "large"})
    assert name == "org.guestmux.Error.TooLarge"
    assert "cannot be sent" in text
    assert await scene.call("tick") == {"count": 3}


async def test_a_result_that_d_bus_has_not_harms_nobody(scene: Scene) -> None:
    with pytest.raises(CallError, match="cannot be sent"):
        await scene.call("value", {"kind": "nul"})
    assert await scene.call("tick") == {"count": 3}


async def test_calls_run_beside_each_other(scene: Scene) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(scene.call, "wait")
        await scene.clock.entered.wait()
        assert await scene.call("tick", call_id=2) == {"count": 3}
        scene.clock.gate.set()


async def test_cancel_cancels_the_method(scene: Scene) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_expect, scene, "wait", "cancelled by the caller")
        await scene.clock.entered.wait()
        await scene.manager.cancel(scene.agent, 1)
        await scene.clock.cancelled.wait()


async def test_cancelling_what_has_ended_does_nothing(scene: Scene) -> None:
    await scene.call("tick", call_id=7)
    await scene.manager.cancel(scene.agent, 7)
    assert await scene.call("tick", call_id=7) == {"count": 3}


async def test_a_deadline_cancels_the_method(scene: Scene) -> None:
    text = "__org.example_wait took longer than its 0.01 s and was cancelled"
    assert await scene.refused("wait", deadline=0.01) == (FAILED, text)
    await scene.clock.cancelled.wait()
    assert (await scene.refused("wait", deadline=-5.0))[0] == FAILED


async def test_who_ignores_cancellation_keeps_nobody_waiting_but_counts(scene: Scene) -> None:
    for call_id in range(4):
        assert (await scene.refused("stubborn", call_id=call_id, deadline=0.01))[0] == FAILED
    name, text = await scene.refused("tick", call_id=9)
    assert name == "org.guestmux.Error.LimitExceeded"
    assert "try again" in text


async def test_a_blocking_method_is_given_up_at_its_deadline(scene: Scene) -> None:
    assert (await scene.refused("block", deadline=0.01))[0] == FAILED
    assert await scene.call("add", {"left": 1}, call_id=2) == 2


async def test_a_flood_is_refused_and_passes(scene: Scene) -> None:
    outcomes: list[str] = []

    async def one(call_id: int) -> None:
        try:
            outcomes.append(await scene.call("wait", call_id=call_id))
        except CallError as error:
            outcomes.append(error.name)
        if outcomes.count("org.guestmux.Error.LimitExceeded") == 46:
            scene.clock.gate.set()

    async with anyio.create_task_group() as group:
        for call_id in range(50):
            group.start_soon(one, call_id)
    assert outcomes.count("opened") == 4
    assert await scene.call("tick") == {"count": 3}


async def test_cancel_finds_room_while_all_calls_run(scene: Scene) -> None:
    async with anyio.create_task_group() as group:
        for call_id in range(4):
            group.start_soon(_expect, scene, "wait", "cancelled by the caller", call_id)
        await scene.clock.entered.wait()
        # Messages of one sender keep their order: the agent has all four by now.
        assert (await scene.refused("tick", call_id=99))[0] == "org.guestmux.Error.LimitExceeded"
        for call_id in range(4):
            await scene.manager.cancel(scene.agent, call_id)


async def test_two_calls_of_one_id_are_a_mistake(scene: Scene) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(scene.call, "wait")
        await scene.clock.entered.wait()
        assert await scene.refused("tick") == (INVALID, "a call with the id 1 is running")
        scene.clock.gate.set()


@pytest.mark.parametrize(
    ("member", "signature", "body"),
    [("Call", "sa{sv}a{sv}", ["__org.example_tick", {}, {}]), ("Cancel", "t", [1]), ("Release", "", [])],
)
async def test_only_the_manager_may_call(
    scene: Scene, system_bus: PrivateBus, member: str, signature: str, body: list[Any]
) -> None:
    async with connect_bus(system_bus.address) as stranger:
        with pytest.raises(CallError) as caught:
            await stranger.call(
                scene.agent.sender, scene.agent.path, AGENT_INTERFACE, member, signature, body
            )
    assert caught.value.name == "org.guestmux.Error.Denied"
    assert await scene.call("tick") == {"count": 3}


async def _expect(scene: Scene, command: str, text: str, call_id: int = 1) -> None:
    assert await scene.refused(command, call_id=call_id) == (FAILED, text)
