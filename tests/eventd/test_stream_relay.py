"""Streams between a host and an agent through a real eventd: every byte, every credit, every way to end."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_eventd.credit_pool import LEAST, POOL_BYTES
from guestmux_protocol.mux import (
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Failure,
    Frame,
    Open,
    Reply,
    Request,
    encode,
)
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.channel_agent import channel_of
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.mux_end import MuxEnd, mux_host
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

COMMAND, PIPE = "__org.example_do", "__org.example_pipe"
SERVES: dict[str, Any] = {
    "commands": (
        "a{ss}",
        {
            COMMAND: "",
            PIPE: '{"stream": true, "data": {"*x": "int"}, "returns": {"*size": "int"}}',
            "guest-connect": "",
            "guest-exec-live": "",
            "guest-exec-attach": "",
            "guest-exec-close": "",
        },
    ),
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
    with running_eventd(bus.address) as eventd:
        yield eventd


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


@pytest.fixture
async def host(eventd: Eventd, channel: MuxEnd) -> AsyncIterator[MuxEnd]:
    host = await mux_host(await eventd.qmp_host())
    yield host
    host.close()


async def accept(channel: MuxEnd, credit: int = 0, reply: bytes = b"{}") -> int:
    """Accept the next stream."""
    opened = await channel.next(Open)
    channel.mux.reply(opened.stream, reply, credit=credit)
    await channel.flush()
    return opened.stream


async def opened(
    host: MuxEnd, channel: MuxEnd, *, host_credit: int = 0, agent_credit: int = 0
) -> tuple[int, int]:
    """A stream's numbers at the host and at the agent."""
    number = host.mux.open(PIPE, IN_SESSION, credit=host_credit)
    await host.flush()
    theirs = await accept(channel, agent_credit)
    assert isinstance(await host.answer(number), Reply)
    return number, theirs


async def refused(host: MuxEnd, command: str, arguments: bytes = IN_SESSION) -> Error:
    number = host.mux.open(command, arguments)
    await host.flush()
    answer = await host.answer(number)
    assert isinstance(answer, Error), answer
    return answer


def stop(eventd: Eventd) -> None:
    """Have everything come together that is sent to it from here on, until it goes on."""
    eventd.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, eventd.process.pid, os.WSTOPPED)


def failure(close: Close) -> tuple[str, str]:
    assert close.failure is not None
    return close.failure.party, close.failure.desc


# ---- what passes


async def test_bytes_pass_both_ways_and_each_side_closes_for_itself(host: MuxEnd, channel: MuxEnd) -> None:
    number = host.mux.open(PIPE, b'{"session": "user:tester", "x": 5, "timeout": 3}', credit=100)
    await host.flush()
    asked = await channel.next(Open)
    assert (asked.command, json.loads(asked.arguments)) == (PIPE, {"x": 5})
    assert json.loads(asked.context)["deadline"] == 3
    channel.mux.reply(asked.stream, b'{"size": 3}', credit=100)
    await channel.flush()
    answer = await host.answer(number)
    assert isinstance(answer, Reply)
    assert answer.value == b'{"size": 3}'
    await host.send(number, b"to the agent")
    assert await channel.data(asked.stream, 12) == b"to the agent"
    host.mux.close(number)
    await host.flush()
    assert (await channel.close_of(asked.stream)).failure is None
    await channel.send(asked.stream, b"to the host")
    channel.mux.close(asked.stream, value=b'{"exitcode": 0}')
    await channel.flush()
    assert await host.data(number, 11) == b"to the host"
    assert await host.close_of(number) == Close(number, None, b'{"exitcode": 0}')


async def test_credit_goes_from_end_to_end(host: MuxEnd, channel: MuxEnd) -> None:
    number, theirs = await opened(host, channel, host_credit=10)
    while channel.mux.sendable(theirs) < 10:
        await channel.receive()
    assert channel.mux.sendable(theirs) == 10
    assert host.mux.sendable(number) == 0
    host.mux.grant(number, 5)
    channel.mux.grant(theirs, 7)
    await host.flush()
    await channel.flush()
    assert (await host.next(Credit)).count == 7
    while channel.mux.sendable(theirs) < 15:
        await channel.receive()
    assert (channel.mux.sendable(theirs), host.mux.sendable(number)) == (15, 7)


class Echo:
    """An agent that sends back what it gets, as far as it has credit, and takes more as that is gone."""

    def __init__(self, channel: MuxEnd) -> None:
        self._mux = channel.mux
        self._held: dict[int, bytearray] = {}

    def take(self, frame: Frame) -> None:
        if isinstance(frame, Data):
            self._held.setdefault(frame.stream, bytearray()).extend(frame.data)
        for stream, held in self._held.items():
            if room := min(self._mux.sendable(stream), len(held)):
                self._mux.send(stream, bytes(held[:room]))
                del held[:room]
                self._mux.grant(stream, room)


class Comparer:
    """A host that sends a text on each stream and takes in what comes back."""

    def __init__(self, host: MuxEnd, texts: dict[int, bytes]) -> None:
        self._mux = host.mux
        self._unsent = {stream: memoryview(text) for stream, text in texts.items()}
        self._texts = texts
        self.came = {stream: bytearray() for stream in texts}
        self.done = anyio.Event()

    def take(self, frame: Frame | None = None) -> None:
        if isinstance(frame, Data):
            self.came[frame.stream] += frame.data
            self._mux.grant(frame.stream, len(frame.data))
        for stream, text in self._unsent.items():
            room = self._mux.sendable(stream)
            self._mux.send(stream, bytes(text[:room]))
            self._unsent[stream] = text[room:]
        if all(len(self.came[stream]) >= len(text) for stream, text in self._texts.items()):
            self.done.set()


async def pump(end: MuxEnd, take: Callable[[Frame], None]) -> None:
    while True:
        while end.frames:
            take(end.frames.popleft())
        await end.flush()
        await end.receive()


async def test_nothing_is_lost_or_doubled_on_many_streams_at_once(host: MuxEnd, channel: MuxEnd) -> None:
    """What passes is far more than each stream's window."""
    window = 64 * 1024
    numbers = [(await opened(host, channel, host_credit=window, agent_credit=window))[0] for _ in range(8)]
    texts = {number: hashlib.shake_128(bytes([number])).digest(1 << 20) for number in numbers}
    comparer = Comparer(host, texts)
    async with anyio.create_task_group() as tasks:
        comparer.take()
        tasks.start_soon(pump, host, comparer.take)
        tasks.start_soon(pump, channel, Echo(channel).take)
        await comparer.done.wait()
        tasks.cancel_scope.cancel()
    assert comparer.came == texts


async def test_a_stalled_stream_delays_nobody(host: MuxEnd, channel: MuxEnd) -> None:
    """The agent reads nothing of one stream, the host nothing of another; a third, and calls, go on."""
    (to_agent, _), (_, to_host), (number, theirs) = [
        await opened(host, channel, host_credit=1 << 20, agent_credit=1 << 20) for _ in range(3)
    ]
    await host.send(to_agent, bytes(1 << 20))
    while not channel.mux.sendable(to_host):
        await channel.receive()
    await channel.send(to_host, bytes(1 << 20))
    for _ in range(20):
        await host.send(number, b"x" * 10_000)
        assert len(await channel.data(theirs, 10_000)) == 10_000
        await channel.send(theirs, b"y" * 10_000)
        assert len(await host.data(number, 10_000)) == 10_000
    assert await host.value("guest-ping") == {}


# ---- who ends it


async def test_the_party_that_failed_is_named_whatever_it_says(host: MuxEnd, channel: MuxEnd) -> None:
    number, theirs = await opened(host, channel)
    channel.mux.close(theirs, Failure("GenericError", "disk full", "host"))
    await channel.flush()
    assert failure(await host.close_of(number)) == ("agent", "disk full")
    number, theirs = await opened(host, channel)
    host.mux.close(number, Failure("GenericError", "enough", "eventd"))
    await host.flush()
    assert failure(await channel.close_of(theirs)) == ("host", "enough")
    assert await host.value("guest-ping") == {}


async def test_an_abort_after_a_half_close(host: MuxEnd, channel: MuxEnd) -> None:
    number, theirs = await opened(host, channel)
    host.mux.close(number)
    await host.flush()
    assert (await channel.close_of(theirs)).failure is None
    host.mux.close(number, Failure("GenericError", "enough", "host"))
    await host.flush()
    assert failure(await channel.close_of(theirs)) == ("host", "enough")


async def test_an_agent_that_leaves_breaks_its_streams(host: MuxEnd, channel: MuxEnd) -> None:
    (first, _), (second, _) = await opened(host, channel), await opened(host, channel)
    asked = host.mux.open(PIPE, IN_SESSION)
    await host.flush()
    await channel.next(Open)
    channel.close()
    for number in (first, second):
        assert failure(await host.close_of(number)) == ("agent", "the agent disconnected")
    answer = await host.answer(asked)
    assert isinstance(answer, Error)
    assert answer.desc == "the agent disconnected"


async def test_a_host_that_leaves_breaks_its_streams(host: MuxEnd, channel: MuxEnd) -> None:
    _, theirs = await opened(host, channel)
    host.mux.open(PIPE, IN_SESSION)
    await host.flush()
    asked = (await channel.next(Open)).stream
    host.close()
    assert failure(await channel.close_of(theirs)) == ("host", "the host left, or gave it up")
    assert (await channel.next(Cancel)).id == asked


async def test_a_host_that_goes_back_to_qmp_breaks_its_streams(host: MuxEnd, channel: MuxEnd) -> None:
    _, theirs = await opened(host, channel)
    await host.write(b"\xff")
    assert failure(await channel.close_of(theirs))[0] == "host"


async def test_an_open_is_cancelled(host: MuxEnd, channel: MuxEnd) -> None:
    number = host.mux.open(PIPE, IN_SESSION)
    await host.flush()
    asked = (await channel.next(Open)).stream
    host.mux.cancel(number)
    await host.flush()
    answer = await host.answer(number)
    assert isinstance(answer, Error)
    assert answer.desc == "cancelled by the host"
    await channel.next(Cancel)
    channel.mux.reply(asked, b"{}")  # what crossed it
    await channel.flush()
    assert failure(await channel.close_of(asked))[0] == "eventd"


# ---- who refuses


async def test_a_cancel_and_the_agents_reply_may_come_together(
    eventd: Eventd, host: MuxEnd, channel: MuxEnd
) -> None:
    number = host.mux.open(PIPE, IN_SESSION)
    await host.flush()
    asked = await channel.next(Open)
    stop(eventd)
    host.mux.cancel(number)
    await host.flush()
    channel.mux.reply(asked.stream, b"{}")
    await channel.flush()
    eventd.process.send_signal(signal.SIGCONT)
    assert isinstance(await host.answer(number), Error)
    await channel.close_of(asked.stream)
    assert await host.value("guest-ping") == {}
    assert host.mux.over() == channel.mux.over() == ([], [])
    assert "Exception" not in eventd.log


async def test_what_is_refused_before_the_agent_is_asked(host: MuxEnd, channel: MuxEnd) -> None:
    assert (await refused(host, "nothing")).error_class == "CommandNotFound"
    assert (await refused(host, "guest-ping")).desc == "The command guest-ping is no stream; call it"
    assert (await refused(host, COMMAND)).desc == f"The command {COMMAND} is no stream; call it"
    wrong = await refused(host, PIPE, b'{"session": "user:tester", "x": "1"}')
    assert wrong.desc == "Invalid parameter type for 'x', expected: integer"
    called = await host.ask(PIPE, IN_SESSION)
    assert isinstance(called, Error)
    assert called.desc == f"The command {PIPE} is a stream; open it, on a mux connection"
    assert "has been disabled" in (await refused(host, "guest-connect", b'{"session": "user:tester"}')).desc
    assert not channel.frames


async def test_what_the_agent_refuses(host: MuxEnd, channel: MuxEnd) -> None:
    number = host.mux.open(PIPE, IN_SESSION)
    await host.flush()
    channel.mux.error((await channel.next(Open)).stream, "GenericError", "no such file")
    await channel.flush()
    answer = await host.answer(number)
    assert isinstance(answer, Error)
    assert answer.desc == "no such file"


async def test_a_reply_against_the_agents_own_schema_is_none(host: MuxEnd, channel: MuxEnd) -> None:
    for reply in (b'{"size": "large"}', b"{"):
        number = host.mux.open(PIPE, IN_SESSION)
        await host.flush()
        theirs = await accept(channel, reply=reply)
        answer = await host.answer(number)
        assert isinstance(answer, Error)
        assert "the agent's reply is not what it should be" in answer.desc
        assert failure(await channel.close_of(theirs))[0] == "eventd"


async def test_an_agent_that_does_not_answer_in_time(host: MuxEnd, channel: MuxEnd) -> None:
    late = await refused(host, PIPE, b'{"session": "user:tester", "timeout": 0.01}')
    assert "did not answer within 0.01 s" in late.desc
    await channel.next(Cancel)


async def test_an_open_waits_for_the_agents_channel(eventd: Eventd, agent: BareAgent) -> None:
    host = await mux_host(await eventd.qmp_host())
    number = host.mux.open(PIPE, b'{"session": "user:tester", "wait": 30}')
    await host.flush()
    assert await host.value("guest-ping") == {}
    channel = await channel_of(agent)
    await accept(channel)
    assert isinstance(await host.answer(number), Reply)
    channel.close()


async def test_what_the_site_enabled(bus: PrivateBus, logind: StandinLogind, tmp_path: Path) -> None:
    (tmp_path / "eventd.toml").write_text('[[policy]]\nenable = ["guest-connect"]\n')
    with running_eventd(bus.address, "--config", str(tmp_path / "eventd.toml")) as eventd:
        async with bare_agent(bus.address) as agent:
            await agent.register(**SERVES)
            channel = await channel_of(agent)
            host = await mux_host(await eventd.qmp_host())
            number = host.mux.open("guest-connect", b'{"session": "user:tester", "to": "tcp:80"}')
            await host.flush()
            await accept(channel, reply=b"null")
            assert await host.answer(number)
            channel.close()


async def test_a_stream_of_a_process_that_the_host_started(host: MuxEnd, channel: MuxEnd) -> None:
    started = host.mux.request("guest-exec-live", b'{"session": "user:tester", "path": "x"}')
    await host.flush()
    channel.mux.reply((await channel.next(Request)).id, b'{"pid": 77}')
    await channel.flush()
    answer = await host.answer(started)
    assert isinstance(answer, Reply)
    pid = json.loads(answer.value)["pid"]
    assert pid != 77
    number = host.mux.open("guest-exec-attach", b'{"pid": %d, "channel": "stdio"}' % pid)
    await host.flush()
    attached = await channel.next(Open)
    assert json.loads(attached.arguments) == {"pid": 77, "channel": "stdio"}
    channel.mux.reply(attached.stream, b"{}")
    await channel.flush()
    assert isinstance(await host.answer(number), Reply)
    assert (
        "does not exist"
        in (await refused(host, "guest-exec-attach", b'{"pid": 77, "channel": "stdio"}')).desc
    )


# ---- who means no good


async def test_a_host_that_sends_without_credit_loses_its_streams_and_nobody_else_does(
    eventd: Eventd, host: MuxEnd, channel: MuxEnd
) -> None:
    number, theirs = await opened(host, channel)
    await host.write(encode(Data(number, b"x")))
    assert failure(await channel.close_of(theirs))[0] == "host"
    await host.closed()
    assert "closed: the other side broke the protocol" in eventd.log


async def test_an_agent_that_sends_without_credit_is_dropped_and_nobody_else_is(
    eventd: Eventd, bus: PrivateBus, host: MuxEnd, channel: MuxEnd
) -> None:
    number, theirs = await opened(host, channel, host_credit=1)
    async with bare_agent(bus.address) as other:
        await other.register(
            "org.example.other", commands=("a{ss}", {"__org.example_other": '{"stream": true}'})
        )
        others = await channel_of(other)
        kept = host.mux.open("__org.example_other", IN_SESSION, credit=10)
        await host.flush()
        kept_there = await accept(others)
        await channel.write(encode(Data(theirs, b"xx")))
        assert failure(await host.close_of(number)) == ("agent", "the agent disconnected")
        await channel.closed()
        await others.send(kept_there, b"alive")
        assert isinstance(await host.answer(kept), Reply)
        assert await host.data(kept, 5) == b"alive"
        others.close()


async def test_a_host_that_takes_much_and_reads_nothing_is_promised_little(
    eventd: Eventd, host: MuxEnd, channel: MuxEnd
) -> None:
    """A hundred windows are open; what the agent may send is what eventd can keep."""
    numbers = [await opened(host, channel, host_credit=1 << 20) for _ in range(100)]
    await host.value("guest-ping")
    assert await host.value("guest-ping") == {}
    number, theirs = await opened(host, channel)
    while not all(channel.mux.sendable(stream) for _, stream in numbers):
        await channel.receive()
    promised = sum(channel.mux.sendable(stream) for _, stream in numbers)
    assert promised <= POOL_BYTES + len(numbers) * LEAST
    before = eventd.memory
    for _, stream in numbers:
        channel.mux.send(stream, bytes(channel.mux.sendable(stream)))
    await channel.flush()
    host.mux.grant(number, 10)
    await host.flush()
    while not channel.mux.sendable(theirs):
        await channel.receive()
    assert eventd.memory - before < 2 * (POOL_BYTES + len(numbers) * LEAST)


async def test_ten_thousand_streams_are_a_violation_and_end_with_it(
    host: MuxEnd, channel: MuxEnd, eventd: Eventd
) -> None:
    host.mux._inbound.max_streams = 20_000
    await anyio.to_thread.run_sync(lambda: None)
    for _ in range(10_000):
        host.mux.open(PIPE, IN_SESSION)
        if host.mux.congested:
            break
    with suppress(BrokenPipeError, ConnectionResetError):
        await host.write(host.mux.bytes_to_send(1 << 30))
    await host.closed()
    assert "more than 1024 streams" in eventd.log
