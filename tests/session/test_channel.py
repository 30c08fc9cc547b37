"""Calls and events over the channel, with a stand-in for eventd."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from guestmux_session import LimitExceeded, TooLarge
from guestmux_transport.mux_errors import MuxRefused
from tests.session.conftest import Running
from tests.support.clock_agent import Clock, Tick
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_channel import StandinChannel
from tests.support.standin_manager import Registered, StandinManager, standin_manager

pytestmark = pytest.mark.anyio

CHANNEL = "ha{sv}"


@dataclass
class Scene:
    """A registered agent with a channel, and the manager at its other end."""

    clock: Clock
    manager: StandinManager
    agent: Registered
    channel: StandinChannel

    async def call(self, command: str, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
        return await self.channel.call(f"__org.example_{command}", arguments, **options)

    async def refused(
        self, command: str, arguments: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, str]:
        with pytest.raises(MuxRefused) as caught:
            await self.call(command, arguments, **options)
        return caught.value.error_class, caught.value.desc


@pytest.fixture
async def scene(system_bus: PrivateBus, running: Running) -> AsyncIterator[Scene]:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        agent, channel = await manager.agent("org.example.clock"), await manager.channel()
        await clock.until_registered()
        yield Scene(clock, manager, agent, channel)
        clock.gate.set()
        clock.thread_gate.set()


async def test_calls_run_over_it(scene: Scene) -> None:
    answer = await scene.call("time", {"zone": "UTC", "is-precise": True})
    assert answer == {"zone": "UTC", "precise": True, "offset": None}
    assert await scene.call("add", {"left": 40, "right": 2}) == 42
    assert await scene.call("tick") == {"count": 3}
    assert await scene.call("value", {"kind": "list"}) == [1, 2]


async def test_a_result_may_be_larger_than_a_message_of_the_bus(scene: Scene) -> None:
    assert await scene.call("value", {"kind": "large"}) == "x" * (2 << 20)
    assert await scene.call("value", {"kind": "nul"}) == "a\0b"


async def test_d_bus_stays_open_beside_it(scene: Scene) -> None:
    assert await scene.manager.call(scene.agent, "__org.example_tick") == {"count": 3}
    assert [entry[0] for entry in scene.manager.log] == ["registered", "channel"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "Parameter 'zone' is missing"),
        ({"zone": 1}, "Invalid parameter type for 'zone', expected: string"),
        ({"zone": "UTC", "color": "red"}, "Parameter 'color' is unexpected"),
    ],
)
async def test_wrong_arguments_get_qemus_texts(scene: Scene, arguments: dict[str, Any], text: str) -> None:
    assert await scene.refused("time", arguments) == ("GenericError", text)


@pytest.mark.parametrize(
    ("arguments", "context", "text"),
    [
        (b"[]", b"{}", "the arguments are no JSON object"),
        (b"{", b"{}", "JSON parse error, premature end of input"),
        (b"\xff", b"{}", "JSON parse error, stray"),
        (b"[" * 100_000, b"{}", "JSON parse error"),
        (b"{}", b"[]", "the context is not what a channel carries"),
        (b"{}", b'{"deadline": "soon"}', "the context is not what a channel carries"),
        (b"{}", b'{"deadline": NaN}', "the context is not what a channel carries"),
        (b"{}", b"[" * 100_000, "the context is not what a channel carries"),
        (b"{}", b"\xff", "the context is not what a channel carries"),
    ],
)
async def test_what_is_no_call_is_refused(scene: Scene, arguments: bytes, context: bytes, text: str) -> None:
    with pytest.raises(MuxRefused) as caught:
        await scene.channel.connection.call("__org.example_tick", arguments, context)
    assert caught.value.desc.startswith(text)
    assert await scene.call("tick") == {"count": 3}


async def test_a_context_may_be_empty_or_have_more(scene: Scene) -> None:
    call = scene.channel.connection.call
    assert await call("__org.example_tick", b"{}", b"{}") == b'{"count": 3}'
    assert await call("__org.example_tick", b"{}", b'{"new": [1], "deadline": 5}') == b'{"count": 3}'


async def test_an_unknown_command_gets_qemus_class(scene: Scene) -> None:
    text = "The command __org.example_nothing has not been found"
    assert await scene.refused("nothing") == ("CommandNotFound", text)


async def test_failures_are_told_as_over_d_bus(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    assert await scene.refused("fail", {"text": "no\nway"}) == ("GenericError", "no way")
    with caplog.at_level(logging.ERROR):
        _, text = await scene.refused("crash")
    assert text == "internal error in __org.example_crash; the agent's log says more"
    assert "RuntimeError: secret detail" in caplog.text
    assert (await scene.refused("value", {"kind": "object"}))[1].startswith("internal error")


async def test_a_cancel_cancels_the_method(scene: Scene) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(scene.call, "wait")
        await scene.clock.entered.wait()
        group.cancel_scope.cancel()
    await scene.clock.cancelled.wait()
    assert await scene.call("tick") == {"count": 3}


async def test_a_deadline_cancels_the_method(scene: Scene) -> None:
    text = "__org.example_wait took longer than its 0.01 s and was cancelled"
    assert await scene.refused("wait", deadline=0.01) == ("GenericError", text)
    await scene.clock.cancelled.wait()
    assert (await scene.refused("wait", deadline=-5.0))[0] == "GenericError"


async def test_calls_are_bounded_in_number(scene: Scene) -> None:
    outcomes: list[str] = []

    async def one() -> None:
        try:
            outcomes.append(await scene.call("wait"))
        except MuxRefused as error:
            outcomes.append(error.desc)
        if len(outcomes) == 46:
            scene.clock.gate.set()

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(one)
    assert outcomes.count("opened") == 4
    assert outcomes.count("4 calls are running in this agent; try again when one has ended") == 46


async def test_events_go_over_it(scene: Scene) -> None:
    assert await scene.clock.ticked(Tick(count=1)) == 1
    assert await scene.clock.ticked(Tick(count=2, unit_name="h")) == 2
    assert [event.data for event in scene.channel.events] == [b'{"count":1}', b'{"count":2,"unit-name":"h"}']
    assert ("emit",) not in [entry[:1] for entry in scene.manager.log]


async def test_many_events_are_under_way_at_a_time(scene: Scene) -> None:
    scene.channel.answer = lambda channel, event: (
        channel.connection.ack(event.seq, 100 + event.seq) if event.seq == 3 else None
    )
    numbers: dict[int, int] = {}

    async def one(count: int) -> None:
        numbers[count] = await scene.clock.ticked(Tick(count=count))

    async with anyio.create_task_group() as group:
        for count in range(3):
            group.start_soon(one, count)
    assert numbers == {0: 101, 1: 102, 2: 103}


async def test_a_refused_event_has_its_error(scene: Scene) -> None:
    def refuse(channel: StandinChannel, event: Any) -> None:
        channel.connection.mux.nak(event.seq, "LimitExceeded", "slow down")
        channel.connection.wake()

    scene.channel.answer = refuse
    with pytest.raises(LimitExceeded, match="slow down"):
        await scene.clock.ticked(Tick(count=1))


async def test_posted_events_wait_for_nobody_and_complain_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(channel: StandinChannel, event: Any) -> None:
        channel.connection.mux.nak(event.seq, "LimitExceeded", "slow down")
        channel.connection.wake()

    scene.channel.answer = refuse
    for count in range(100):
        await scene.clock.ticked.post(Tick(count=count))
    await scene.channel.until_events(100)
    scene.channel.answer = lambda channel, event: channel.connection.ack(event.seq, 1)
    assert await scene.clock.ticked(Tick(count=1)) == 1
    assert caplog.text.count("an event was refused: slow down") == 1


async def test_an_event_over_the_limit_is_not_sent(scene: Scene) -> None:
    with pytest.raises(TooLarge):
        await scene.clock.emit("__org.example_TICKED", {"count": 1, "unit-name": "x" * (1 << 20)})
    assert not scene.channel.events
