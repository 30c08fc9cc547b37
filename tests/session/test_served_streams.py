"""Streams that an agent serves, with a stand-in for eventd."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_session import Agent
from guestmux_transport.errors import CallError, MethodError
from guestmux_transport.mux_errors import MuxRefused, StreamFailed
from guestmux_transport.mux_stream import MuxStream
from guestmux_transport.names import ERROR_PREFIX
from tests.session.conftest import Running
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_channel import StandinChannel
from tests.support.standin_manager import Registered, StandinManager, standin_manager
from tests.support.streams_agent import Streams

pytestmark = pytest.mark.anyio

CHANNEL = "ha{sv}"


@dataclass
class Scene:
    """An agent with streams, and the manager at the other end of its channel."""

    agent: Streams
    manager: StandinManager
    registered: Registered
    channel: StandinChannel

    async def open(self, name: str, arguments: dict[str, Any] | None = None, **options: Any) -> MuxStream:
        return await self.channel.open(f"__org.example_{name}", arguments, **options)

    async def refused(self, name: str, arguments: dict[str, Any] | None = None, **options: Any) -> str:
        with pytest.raises(MuxRefused) as caught:
            await self.open(name, arguments, **options)
        return caught.value.desc

    async def broken(self, name: str, arguments: dict[str, Any] | None = None) -> str:
        """What a stream says that breaks."""
        async with await self.open(name, arguments) as stream:
            with pytest.raises(StreamFailed) as caught:
                await everything(stream)
        assert caught.value.party == "agent"
        return caught.value.desc


async def everything(stream: MuxStream) -> bytes:
    return b"".join([data async for data in stream])


async def result(stream: MuxStream) -> Any:
    """What the agent says at the end; everything before it is thrown away."""
    await everything(stream)
    text = await stream.result()
    return None if text is None else json.loads(text)


@pytest.fixture
async def scene(system_bus: PrivateBus, running: Running) -> AsyncIterator[Scene]:
    agent = Streams(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(agent):
        registered, channel = await manager.agent(), await manager.channel()
        yield Scene(agent, manager, registered, channel)


async def test_streams_are_declared_with_their_commands(scene: Scene) -> None:
    declared = {name: json.loads(text) for name, text in scene.registered.commands.items()}
    assert declared["__org.example_give"]["stream"] is True
    assert declared["__org.example_give"]["returns"] == {"size": "int"}
    assert "stream" not in declared["__org.example_plain"]


async def test_bytes_go_both_ways_and_the_end_has_a_result(scene: Scene) -> None:
    async with await scene.open("echo") as stream:
        assert stream.reply == b"{}"
        await stream.send(b"one")
        assert await stream.receive() == b"one"
        await stream.send(b"two")
        await stream.send_eof()
        assert await everything(stream) == b"two"
        assert await result(stream) == {"bytes": 6}


async def test_more_than_a_window_goes_both_ways(scene: Scene) -> None:
    data = bytes(range(256)) * (3 << 12)
    async with await scene.open("echo") as stream, anyio.create_task_group() as group:

        async def send() -> None:
            await stream.send(data)
            await stream.send_eof()

        group.start_soon(send)
        assert await everything(stream) == data


async def test_the_reply_comes_first(scene: Scene) -> None:
    async with await scene.open("give", {"size": 3_000_000}) as stream:
        assert json.loads(stream.reply) == {"size": 3_000_000}
        assert await everything(stream) == b"x" * 3_000_000
        assert await stream.result() is None


async def test_wrong_arguments_refuse_it_in_qemus_words(scene: Scene) -> None:
    assert await scene.refused("give") == "Parameter 'size' is missing"
    assert await scene.refused("give", {"size": 1, "x": 1}) == "Parameter 'x' is unexpected"
    assert await scene.refused("nothing") == "The command __org.example_nothing has not been found"


async def test_streams_and_commands_are_told_apart(scene: Scene) -> None:
    assert await scene.refused("plain") == "__org.example_plain is no stream; call it"
    text = "__org.example_echo is a stream; open it on a port that carries streams"
    with pytest.raises(MuxRefused, match=text):
        await scene.channel.call("__org.example_echo")
    with pytest.raises(CallError, match=text):
        await scene.manager.call(scene.registered, "__org.example_echo")


async def test_a_failure_before_it_is_open_refuses_it(scene: Scene) -> None:
    assert await scene.refused("fail", {"text": "no\nway", "when": "before"}) == "no way"


@pytest.mark.parametrize("when", ["after", "late"])
async def test_a_failure_later_breaks_it(scene: Scene, when: str) -> None:
    assert await scene.broken("fail", {"text": "no\nway", "when": when}) == "no way"


async def test_an_exception_is_for_the_agents_log_alone(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    text = "internal error in __org.example_crash; the agent's log says more"
    with caplog.at_level(logging.ERROR):
        assert await scene.broken("crash") == text
    assert "RuntimeError: secret detail" in caplog.text


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("send first", "accept() the stream first"),
        ("receive first", "accept() the stream first"),
        ("eof first", "accept() the stream first"),
        ("no accept", "returned without accept()"),
        ("wrong reply", "returned what it did not declare"),
    ],
)
async def test_what_an_author_does_wrong_before_refuses_it(
    scene: Scene, caplog: pytest.LogCaptureFixture, how: str, said: str
) -> None:
    assert (await scene.refused("wrong", {"how": how})).startswith("internal error in __org.example_wrong")
    assert said in caplog.text


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("twice", "accept() was called before"),
        ("send after eof", "ClosedResourceError"),
        ("two results", "returned a result after send_eof()"),
        ("object", "returned what JSON has not"),
    ],
)
async def test_what_an_author_does_wrong_later_breaks_it(
    scene: Scene, caplog: pytest.LogCaptureFixture, how: str, said: str
) -> None:
    assert (await scene.broken("wrong", {"how": how})).startswith("internal error in __org.example_wrong")
    assert said in caplog.text


async def test_our_side_may_end_first(scene: Scene) -> None:
    async with await scene.open("half") as stream:
        assert await result(stream) == {"said": 3}
        await stream.send(b"heard")
        await stream.send_eof()
        assert await scene.channel.call("__org.example_plain") == 1
    while not scene.agent.seen:
        await anyio.lowlevel.checkpoint()
    assert scene.agent.seen == ["heard"]


async def test_what_comes_after_the_method_ended_holds_nobody_up(scene: Scene) -> None:
    async with await scene.open("echo", {"limit": 1}) as stream:
        await stream.send(b"x")
        assert await result(stream) == {"bytes": 1}
        for _ in range(40):
            await stream.send(b"x" * 100_000)
        await stream.send_eof()


async def test_the_method_knows_the_port(scene: Scene) -> None:
    scene.agent.gate.set()
    async with await scene.open("wait") as stream:
        assert await result(stream) == "opened"
    assert scene.agent.seen == ["<ServedStream __org.example_wait OPEN>", "qmp"]


async def test_a_stream_that_is_given_up_cancels_the_method(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    async with await scene.open("wait"):
        await scene.agent.entered.wait()
    await scene.agent.cancelled.wait()
    assert await scene.channel.call("__org.example_plain") == 1
    assert not caplog.records


async def test_a_method_that_waits_for_credit_is_cancelled(scene: Scene) -> None:
    async with await scene.open("fill"):
        await scene.agent.entered.wait()
        await anyio.wait_all_tasks_blocked()
        assert not scene.agent.cancelled.is_set()
    await scene.agent.cancelled.wait()


async def test_a_stream_that_is_not_open_yet_is_cancelled(scene: Scene) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(scene.open, "wait", {"before": True})
        await scene.agent.entered.wait()
        group.cancel_scope.cancel()
    await scene.agent.cancelled.wait()


async def test_the_deadline_is_for_opening_alone(scene: Scene) -> None:
    async with await scene.open("wait", deadline=0.5) as stream:
        text = "__org.example_wait took longer than its 0.6 s and was cancelled"
        assert await scene.refused("wait", {"before": True}, deadline=0.6) == text
        scene.agent.gate.set()
        assert await result(stream) == "opened"


async def test_streams_are_bounded_in_number_and_beside_calls(scene: Scene) -> None:
    streams = [await scene.open("wait") for _ in range(3)]
    assert await scene.refused("echo") == (
        "3 streams are running in this agent; try again when one has ended"
    )
    assert await scene.channel.call("__org.example_plain") == 1
    for stream in streams:
        await stream.aclose()
    await scene.channel.call("__org.example_plain")
    async with await scene.open("echo") as stream:
        await stream.send_eof()
        assert await result(stream) == {"bytes": 0}


async def test_streams_end_with_the_registration(scene: Scene) -> None:
    async with await scene.open("wait") as stream:
        await scene.manager.release(scene.registered)
        with pytest.raises(StreamFailed, match="the registration ended: eventd released it"):
            await stream.receive()
    await scene.agent.cancelled.wait()


async def test_streams_end_with_the_channel(scene: Scene) -> None:
    await scene.open("wait")
    scene.channel.close()
    await scene.agent.cancelled.wait()
    again = await scene.manager.channel(2)
    assert await again.call("__org.example_plain") == 1


async def test_an_eventd_of_before_gets_no_streams(system_bus: PrivateBus, running: Running) -> None:
    async with standin_manager(system_bus.address) as manager:
        manager.refuse_streams = True
        async with running(Streams(bus=system_bus.address)):
            agent = await manager.agent()
            assert list(agent.commands) == ["__org.example_plain"]
            assert await manager.call(agent, "__org.example_plain") == 1


async def test_what_is_refused_without_streams_too_stays_refused(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async with standin_manager(system_bus.address) as manager:
        manager.refuse = MethodError(ERROR_PREFIX + "InvalidArgument", "no such name")
        async with running(Streams(bus=system_bus.address)):
            await manager.logged("refused")
            await manager.changed()
            manager.refuse = None
            await manager.agent()
    assert "not registered: no such name" in caplog.text


async def test_an_agent_that_wants_no_channel_declares_no_streams(
    system_bus: PrivateBus, running: Running
) -> None:
    class Quiet(Streams):
        channel = False

    agent: Agent = Quiet(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(agent):
        assert list((await manager.agent()).commands) == ["__org.example_plain"]
