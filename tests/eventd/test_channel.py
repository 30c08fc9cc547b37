"""An agent's channel to a real eventd: who may speak on it, calls, events, and what its end means."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from guestmux_protocol.mux import Ack, Cancel, Error, Event, Nak, Reply, Request, encode
from guestmux_transport.errors import CallError
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.channel_agent import acquire, channel_of
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.mux_end import MuxEnd, mux_host
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

COMMAND, STREAM, EVENT = "__org.example_do", "__org.example_pipe", "__org.example_DONE"
SERVES: dict[str, Any] = {
    "commands": ("a{ss}", {COMMAND: "", STREAM: '{"stream": true}'}),
    "events": ("a{ss}", {EVENT: '{"data": {"*x": "int"}}'}),
}
IN_SESSION = b'{"session": "user:tester"}'


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        session = await logind.control.login("tester", os.getuid())
        await logind.control.add_process(session, os.getpid())
        yield logind


@pytest.fixture
def eventd(bus: PrivateBus, logind: StandinLogind) -> Any:
    with running_eventd(bus.address, "--emit-rate", "100000") as eventd:
        yield eventd


@pytest.fixture
async def host(eventd: Eventd) -> RawHost:
    return await eventd.qmp_host()


@pytest.fixture
async def agent(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    async with bare_agent(bus.address) as agent:
        await agent.register(**SERVES)
        yield agent


@pytest.fixture
async def channel(agent: BareAgent) -> AsyncIterator[MuxEnd]:
    channel = await channel_of(agent)
    yield channel
    channel.close()


async def ask(host: RawHost, **arguments: Any) -> dict[str, Any]:
    return await host.ask(COMMAND, key="exec-oob", session="user:tester", **arguments)


async def answer(channel: MuxEnd, value: bytes) -> Request:
    """Answer the next call."""
    request = await channel.next(Request)
    channel.mux.reply(request.id, value)
    await channel.flush()
    return request


# ---- calls


async def test_calls_come_over_the_channel(host: RawHost, agent: BareAgent, channel: MuxEnd) -> None:
    replies: list[dict[str, Any]] = []

    async def call() -> None:
        replies.append(await ask(host, x=1, timeout=7))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        request = await answer(channel, '{"text": "ü", "z":1}'.encode())
    assert (request.command, json.loads(request.arguments)) == (COMMAND, {"x": 1})
    context = json.loads(request.context)
    assert context["deadline"] == 7
    assert context["port"].startswith("unix-listen:")
    assert replies[0]["return"] == {"text": "ü", "z": 1}
    assert agent.called == []


async def test_before_the_agent_speaks_on_it_calls_come_by_dbus(host: RawHost, agent: BareAgent) -> None:
    sock = await acquire(agent)
    assert (await ask(host))["return"] == COMMAND
    assert agent.called == [COMMAND]
    sock.close()


async def test_failures_of_the_agent(host: RawHost, channel: MuxEnd) -> None:
    failures: list[tuple[str, str]] = []

    async def call(**arguments: Any) -> None:
        error = (await ask(host, **arguments))["error"]
        failures.append((error["class"], error["desc"]))

    for error_class, desc in (("GenericError", "no"), ("CommandNotFound", "gone"), ("Odd", "x" * 2000)):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            channel.mux.error((await channel.next(Request)).id, error_class, desc)
            await channel.flush()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await answer(channel, b'{"a": 1, "a": 2}')
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: call(timeout=0.01))
        request = await channel.next(Request)
        assert (await channel.next(Cancel)).id == request.id
        channel.mux.error(request.id, "GenericError", "cancelled")
        await channel.flush()
    assert failures[:3] == [("GenericError", "no"), ("CommandNotFound", "gone"), ("GenericError", "x" * 1000)]
    assert "answered with what is no JSON" in failures[3][1]
    assert "did not answer within 0.01 s; the call was cancelled" in failures[4][1]


async def test_a_host_that_leaves_cancels(host: RawHost, channel: MuxEnd) -> None:
    await host.send(b'{"execute": "%s", "arguments": %s}' % (COMMAND.encode(), IN_SESSION))
    request = await channel.next(Request)
    host.close()
    assert (await channel.next(Cancel)).id == request.id


async def test_a_large_result(host: RawHost, channel: MuxEnd) -> None:
    async with anyio.create_task_group() as tasks:
        text = json.dumps({"text": "x" * (8 << 20)}).encode()
        tasks.start_soon(answer, channel, text)
        assert len((await ask(host))["return"]["text"]) == 8 << 20


async def test_a_stalled_agent_delays_nobody(
    bus: PrivateBus, eventd: Eventd, agent: BareAgent, channel: MuxEnd
) -> None:
    """It reads nothing, so all that is for it waits; what is asked of another is answered meanwhile."""
    host = await mux_host(await eventd.qmp_host())
    large = b'{"session": "user:tester", "text": "%s"}' % (b"x" * 200_000)
    stalled = [host.mux.request(COMMAND, large) for _ in range(15)]
    async with bare_agent(bus.address) as other:
        await other.register("org.example.other", commands=("as", ["__org.example_other"]))
        for _ in range(20):
            assert isinstance(await host.ask("__org.example_other", IN_SESSION), Reply)
    assert not host.frames
    for number in stalled:
        await answer(channel, b"{}")
        assert isinstance(await host.answer(number), Reply)


@pytest.mark.parametrize("depth", [600, 100_000])
async def test_however_deep_arguments_nest_eventd_goes_on(
    eventd: Eventd, agent: BareAgent, depth: int
) -> None:
    await agent.register(**{**SERVES, "large-messages": ("b", True)})
    channel = await channel_of(agent)
    host = await mux_host(await eventd.qmp_host())
    nested = b'{"session": "user:tester", "x": %s%s}' % (b"[" * depth, b"]" * depth)
    number = host.mux.request(COMMAND, nested)
    await host.flush()
    if depth == 600:
        assert len((await answer(channel, b"1")).arguments) > 2 * depth
        assert isinstance(await host.answer(number), Reply)
    else:
        assert isinstance(await host.answer(number), Error)
    assert await host.value("guest-ping") == {}
    channel.close()


# ---- who may have one, and speak on it


async def refusal(agent: BareAgent, path: str = "", **options: Any) -> str:
    with pytest.raises(CallError) as caught:
        await acquire(agent, path, **options)
    return caught.value.name.removeprefix("org.guestmux.Error.")


async def test_who_cannot_have_one(agent: BareAgent, channel: MuxEnd) -> None:
    assert await refusal(agent, "/elsewhere") == "NotRegistered"
    assert await refusal(agent) == "AlreadyRegistered"
    assert await refusal(agent, version=("u", 2)) == "Unsupported"
    assert await refusal(agent, version=("s", "1")) == "InvalidArgument"
    assert await refusal(agent, speed=("u", 1)) == "InvalidArgument"


async def test_another_process_cannot_speak_first(eventd: Eventd, host: RawHost, agent: BareAgent) -> None:
    await host.subscribe("AGENT_GONE")
    sock = await acquire(agent)
    await anyio.run_process(
        [sys.executable, "-c", f"import os; os.write({sock.fileno()}, b'x')"],
        pass_fds=[sock.fileno()],
        check=True,
    )
    gone = await host.event("AGENT_GONE")
    assert gone["reason"] == "channel-lost"
    assert "the channel of agent 'org.example.bare' was closed: process" in eventd.log
    assert sock.recv(1) == b""
    sock.close()


@pytest.mark.parametrize(
    "bad", [b"\xc1", encode(Ack(1, None)), b"\xff"], ids=["garbage", "out of place", "reset"]
)
async def test_an_agent_that_breaks_the_protocol_is_dropped(
    eventd: Eventd, host: RawHost, agent: BareAgent, bad: bytes
) -> None:
    await host.subscribe("AGENT_GONE")
    channel = await channel_of(agent)
    await channel.write(bad)
    await channel.closed()
    channel.close()
    assert (await host.event("AGENT_GONE"))["reason"] == "channel-lost"
    assert "the channel of agent 'org.example.bare' was closed: the other side" in eventd.log
    assert not agent.released.is_set()


# ---- its end, and staying


async def test_its_end_is_the_agents_end(host: RawHost, agent: BareAgent, channel: MuxEnd) -> None:
    await host.subscribe("AGENT_*")
    await host.send(b'{"execute": "%s", "arguments": %s, "id": 1}' % (COMMAND.encode(), IN_SESSION))
    await channel.next(Request)
    channel.close()
    messages = [await host.message(), await host.message()]
    (reply,) = [message for message in messages if "id" in message]
    assert reply["error"]["desc"] == "the agent disconnected; the command may or may not have run"
    (gone,) = [message["data"] for message in messages if "event" in message]
    assert gone["reason"] == "channel-lost"
    with pytest.raises(CallError, match="NotRegistered"):
        await agent.emit(EVENT)
    await agent.register(**SERVES)
    again = await channel_of(agent)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer, again, b"1")
        assert (await ask(host))["return"] == 1
    again.close()


async def test_registering_anew_keeps_it(host: RawHost, agent: BareAgent, channel: MuxEnd) -> None:
    await agent.register(**SERVES)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer, channel, b"1")
        assert (await ask(host))["return"] == 1
    assert await refusal(agent) == "AlreadyRegistered"


async def test_unregistering_and_leaving_close_it(agent: BareAgent, channel: MuxEnd, bus: PrivateBus) -> None:
    await agent.manager("UnregisterAgent", "o", agent.path)
    await channel.closed()
    await agent.register(**SERVES)
    again = await channel_of(agent)
    await agent.bus.aclose()
    await again.closed()
    again.close()


async def test_the_end_of_the_session_closes_it(
    agent: BareAgent, channel: MuxEnd, logind: StandinLogind
) -> None:
    await logind.control.logout("c1")
    await channel.closed()
    await agent.released.wait()


async def test_the_bus_may_die_whatever_state_a_channel_is_in(
    bus: PrivateBus, eventd: Eventd, host: RawHost, agent: BareAgent
) -> None:
    await host.subscribe("AGENT_GONE")
    async with bare_agent(bus.address) as other:
        await other.register("org.example.other")
        channel, silent = await channel_of(agent), await acquire(other)
        bus.kill()
        for _ in range(2):
            assert (await host.event("AGENT_GONE"))["reason"] == "bus-lost"
        await channel.closed()
        await anyio.wait_readable(silent)
        assert silent.recv(1) == b""
        channel.close()
        silent.close()
        bus.restart()
    assert (await host.ask("guest-ping"))["return"] == {}


# ---- what it serves


async def test_streams_are_served_once_there_is_a_channel(eventd: Eventd, agent: BareAgent) -> None:
    host = await mux_host(await eventd.qmp_host())
    await host.value("guest-event-subscribe", b'{"events": ["AGENT_REGISTERED"]}')
    refused = await host.ask(STREAM, IN_SESSION)
    assert isinstance(refused, Error)
    assert refused.error_class == "CommandNotFound"
    channel = await channel_of(agent)
    assert json.loads((await host.event()).data)["commands"] == sorted([COMMAND, STREAM])
    listed = await host.value("guest-info")
    assert STREAM in {command["name"] for command in listed["supported_commands"]}
    (described,) = [e for e in await host.value("guest-query-schema") if e["name"] == STREAM]
    assert described["features"] == ["__org.guestmux_stream"]
    channel.close()


async def test_hosts_that_can_open_none_see_no_streams(
    host: RawHost, agent: BareAgent, channel: MuxEnd
) -> None:
    shown = json.dumps(
        [
            await host.ask(name)
            for name in ("guest-info", "query-commands", "guest-query-schema", "guest-get-sessions")
        ]
    )
    assert COMMAND in shown
    assert STREAM not in shown
    error = (await host.ask(STREAM, session="user:tester"))["error"]
    assert error["desc"] == f"The command {STREAM} is a stream; open it, on a mux connection"


# ---- events


async def send_events(channel: MuxEnd, *texts: bytes, name: str = EVENT) -> None:
    for seq, text in enumerate(texts, 1):
        await channel.write(encode(Event(seq, name, text, 0)))


async def test_events_are_numbered_and_acknowledged(host: RawHost, channel: MuxEnd) -> None:
    await host.subscribe(EVENT)
    await send_events(channel, b"{}", b'{"x": 1}', b'{"x":  2 }')
    events = [await host.event(EVENT) for _ in range(3)]
    assert [event.get("x") for event in events] == [None, 1, 2]
    assert [event["source"] for event in events] == ["claimed"] * 3
    assert {(event["session"], event["agent"]) for event in events} == {("c1", "org.example.bare")}
    while (ack := await channel.next(Ack)).seq < 3:
        pass
    assert ack.number == events[-1]["seq"]


async def test_events_that_are_refused(host: RawHost, channel: MuxEnd) -> None:
    await host.subscribe("*")
    await send_events(
        channel, b"{}", b'{"x": "1"}', b'{"seq": 1}', b"[", b'{"x": %s1}' % (b" " * 70_000), b'{"x": 5}'
    )
    naks = {nak.seq: nak for nak in [await channel.next(Nak) for _ in range(4)]}
    assert {seq: nak.error_class for seq, nak in naks.items()} == {
        2: "InvalidArgument",
        3: "InvalidArgument",
        4: "InvalidArgument",
        5: "TooLarge",
    }
    assert naks[2].desc == "Invalid parameter type for 'x', expected: integer"
    await channel.write(encode(Event(7, "__org.example_OTHER", b"{}", 0)))
    assert (await channel.next(Nak)).error_class == "Denied"
    acks = [await channel.next(Ack), await channel.next(Ack)]
    assert [ack.seq for ack in acks] == [1, 6]
    first, second = await host.event(EVENT), await host.event(EVENT)
    assert [first["seq"], second["seq"]] == [ack.number for ack in acks]
    assert second["x"] == 5


async def test_too_many_events_are_refused(bus: PrivateBus, logind: StandinLogind) -> None:
    with running_eventd(bus.address, "--emit-rate", "1") as eventd:
        host = await eventd.qmp_host()
        async with bare_agent(bus.address) as agent:
            await agent.register(**SERVES)
            await host.subscribe(EVENT)
            channel = await channel_of(agent)
            await agent.emit(EVENT)
            await send_events(channel, b"{}", b"{}")
            nak = await channel.next(Nak)
            assert (nak.seq, nak.error_class) == (2, "LimitExceeded")
            channel.close()


async def test_why_an_agent_left_is_the_buss_to_say(
    bus: PrivateBus, eventd: Eventd, host: RawHost, agent: BareAgent
) -> None:
    await host.subscribe("AGENT_*")
    (await channel_of(agent)).close()
    await agent.manager("UnregisterAgent", "o", agent.path)
    assert (await host.event("AGENT_GONE"))["reason"] == "unregistered"
    async with bare_agent(bus.address) as dying:
        await dying.register(**SERVES)
        (await channel_of(dying)).close()
    assert (await host.event("AGENT_GONE"))["reason"] == "disconnected"


async def test_who_closes_the_channel_and_registers_anew_was_gone(host: RawHost, agent: BareAgent) -> None:
    (await channel_of(agent)).close()
    await host.subscribe("AGENT_*")
    with pytest.raises(CallError, match="AlreadyRegistered"):
        await acquire(agent)
    await agent.register(**SERVES)
    assert (await host.event("AGENT_GONE"))["reason"] == "channel-lost"
    await host.event("AGENT_REGISTERED")
    (await channel_of(agent)).close()


async def flood(channel: MuxEnd, data: bytes) -> None:
    while True:
        await channel.write(data)


async def test_an_agent_that_sends_events_and_reads_no_answers_is_dropped(
    eventd: Eventd, host: RawHost, agent: BareAgent
) -> None:
    channel = await channel_of(agent)
    await host.subscribe("AGENT_GONE")
    refused = encode(Event(1, "__org.example_OTHER", b"{}", 0)) * 1000
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        await flood(channel, refused)
    assert (await host.event("AGENT_GONE"))["reason"] == "channel-lost"
    assert "the peer sends events, and reads no answers to them" in eventd.log
    channel.close()


async def test_an_agent_that_dies_in_the_middle_of_a_frame(host: RawHost, channel: MuxEnd) -> None:
    await host.subscribe("AGENT_GONE")
    await channel.write(b"\x93\x02\x01\xc6\x03\xff\xff\xff" + bytes(100_000))
    channel.close()
    assert (await host.event("AGENT_GONE"))["reason"] == "channel-lost"
    assert (await host.ask("guest-ping"))["return"] == {}


async def test_bulk_is_passed_as_a_memfd(host: RawHost, agent: BareAgent) -> None:
    await agent.register(**{**SERVES, "large-messages": ("b", True)})
    channel = await channel_of(agent)
    assert (await ask(host, text="x" * 200_000))["return"] == COMMAND
    assert agent.called == [COMMAND]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer, channel, b"1")
        assert (await ask(host, text="x" * 100_000))["return"] == 1
    channel.close()
