"""Agents of the SDK with a real eventd between them and a host: calls, events and streams over the channel."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_protocol.mux import Close, Error, Failure, Reply
from guestmux_session import Disconnected, InvalidArgument, LimitExceeded, NotRegistered, ServedStream, stream
from guestmux_session.stock import SessionAgent
from tests.session.conftest import Running
from tests.support.clock_agent import Clock, Tick
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.mux_end import MuxEnd, mux_host
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.streams_agent import Streams

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

WINDOW = 1 << 20


class More:
    """A part that comes later."""

    @stream("__org.example_more")
    async def more(self, stream: ServedStream) -> None:
        """Give back what comes."""
        await stream.accept()
        async for data in stream:
            await stream.send(data)


@pytest.fixture
async def logind(system_bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(system_bus.address) as logind:
        session = await logind.control.login("tester", os.getuid())
        await logind.control.add_process(session, os.getpid())
        yield logind


@pytest.fixture
def eventd(system_bus: PrivateBus, logind: StandinLogind) -> Iterator[Eventd]:
    del logind
    with running_eventd(system_bus.address, "--emit-rate", "1000000") as eventd:
        yield eventd


@pytest.fixture
async def host(eventd: Eventd) -> MuxEnd:
    return await mux_host(await eventd.qmp_host())


def arguments(**members: Any) -> bytes:
    return json.dumps({"session": "user:tester", **members}).encode()


async def gone(host: MuxEnd) -> str:
    return str(json.loads((await host.event("AGENT_GONE")).data)["reason"])


async def registered(host: MuxEnd) -> None:
    await host.event("AGENT_REGISTERED")


async def test_calls_of_a_host_run_over_the_channel(
    system_bus: PrivateBus, host: MuxEnd, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        await clock.until_registered()
        assert await host.value("__org.example_add", arguments(left=40, right=2)) == 42
        answer = await host.ask("__org.example_fail", arguments(text="no way"))
        assert isinstance(answer, Error)
        assert (answer.error_class, answer.desc) == ("GenericError", "no way")
        large = await host.value("__org.example_value", arguments(kind="large"))
        assert large == "x" * (2 << 20)
    assert "no channel" not in caplog.text


async def test_a_deadline_and_a_cancel_reach_the_method(
    system_bus: PrivateBus, host: MuxEnd, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        await clock.until_registered()
        number = host.mux.request("__org.example_wait", arguments())
        await host.flush()
        await clock.entered.wait()
        host.mux.cancel(number)
        await host.flush()
        await clock.cancelled.wait()
        assert isinstance(await host.answer(number), Error)
        clock.cancelled = anyio.Event()
        assert isinstance(await host.ask("__org.example_wait", arguments(timeout=0.2)), Error)
        await clock.cancelled.wait()


async def test_an_event_has_the_journals_number(
    system_bus: PrivateBus, host: MuxEnd, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        await clock.until_registered()
        await host.value("guest-event-subscribe", b'{"events": ["__org.example_*"]}')
        numbers = [await clock.ticked(Tick(count=count)) for count in range(3)]
        events = [await host.event() for _ in range(3)]
        assert [event.seq for event in events] == numbers
        assert [json.loads(event.data)["count"] for event in events] == [0, 1, 2]
        with pytest.raises(InvalidArgument, match="unit-name"):
            await clock.emit("__org.example_TICKED", {"count": 1, "unit-name": 2})
        assert await clock.ticked(Tick(count=3)) == numbers[-1] + 1


async def test_a_flood_of_events_arrives_in_order(
    system_bus: PrivateBus, host: MuxEnd, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock), anyio.create_task_group() as group:
        await clock.until_registered()
        await host.value("guest-event-subscribe", b'{"events": ["__org.example_*"]}')

        async def flood() -> None:
            for count in range(20_000):
                await clock.ticked.post(Tick(count=count))

        group.start_soon(flood)
        events = [await host.event() for _ in range(20_000)]
        assert [json.loads(event.data)["count"] for event in events] == list(range(20_000))


async def test_too_many_events_a_second_are_refused_one_by_one(
    system_bus: PrivateBus, logind: StandinLogind, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(bus=system_bus.address)
    with running_eventd(system_bus.address, "--emit-rate", "1"):
        async with running(clock):
            await clock.until_registered()
            for count in range(500):
                await clock.ticked.post(Tick(count=count))
            with pytest.raises(LimitExceeded):
                await clock.ticked(Tick(count=500))
    assert caplog.text.count("an event was refused: ") == 1


async def test_streams_go_through_with_their_credit(
    system_bus: PrivateBus, host: MuxEnd, running: Running
) -> None:
    piece = bytes(range(256)) * (WINDOW // 256 // 4)
    async with running(Streams(bus=system_bus.address)):
        await until_served(host, "__org.example_echo")
        stream = await host.open("__org.example_echo", arguments(), credit=WINDOW)
        for _ in range(12):
            await host.send(stream, piece)
            assert await host.data(stream, len(piece)) == piece
        host.mux.close(stream)
        await host.flush()
        assert await host.close_of(stream) == Close(stream, None, b'{"bytes": %d}' % (3 * WINDOW))


async def until_served(host: MuxEnd, command: str) -> None:
    """A stream is served once the agent has spoken on its channel, a little after it registered."""
    while command not in str(await host.value("guest-get-sessions")):
        pass


async def test_a_host_that_leaves_cancels_its_streams(
    system_bus: PrivateBus, eventd: Eventd, host: MuxEnd, running: Running
) -> None:
    agent = Streams(bus=system_bus.address)
    async with running(agent):
        await until_served(host, "__org.example_wait")
        await host.open("__org.example_wait", arguments())
        await agent.entered.wait()
        host.close()
        await agent.cancelled.wait()
        again = await mux_host(await eventd.qmp_host())
        assert await again.value("__org.example_plain", arguments()) == 1


async def test_a_failure_says_who_failed(system_bus: PrivateBus, host: MuxEnd, running: Running) -> None:
    async with running(Streams(bus=system_bus.address)):
        await until_served(host, "__org.example_fail")
        stream = await host.open("__org.example_fail", arguments(text="no way", when="late"), credit=100)
        failed = await host.next(Close, lambda close: close.failure is not None)
        assert failed == Close(stream, Failure("GenericError", "no way", "agent"), None)


async def test_an_eventd_that_is_killed_is_found_again_with_a_channel(
    system_bus: PrivateBus, logind: StandinLogind, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    with running_eventd(system_bus.address) as eventd:
        async with running(clock):
            await clock.until_registered()
            eventd.process.send_signal(signal.SIGKILL)
            eventd.process.wait(60)
            await clock.is_released.wait()
            with pytest.raises((Disconnected, NotRegistered)):
                await clock.ticked(Tick(count=1))
            eventd.start()
            host = await mux_host(await eventd.qmp_host())
            await clock.until_registered()
            assert await host.value("__org.example_add", arguments(left=1)) == 2
            assert await clock.ticked(Tick(count=1)) > 0


async def test_an_agent_whose_channel_breaks_is_gone_and_comes_back(
    system_bus: PrivateBus, host: MuxEnd, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        await clock.until_registered()
        await host.value("guest-event-subscribe", b'{"events": ["AGENT_*"]}')
        channel = clock._core._channel
        assert channel is not None
        channel._pipe.close()
        assert await gone(host) == "channel-lost"
        await registered(host)
        await clock.until_registered()
        assert await host.value("__org.example_add", arguments(left=1)) == 2


async def test_an_agent_that_stops_takes_its_leave(
    system_bus: PrivateBus, host: MuxEnd, running: Running
) -> None:
    await host.value("guest-event-subscribe", b'{"events": ["AGENT_*"]}')
    for _ in range(5):
        clock = Clock(bus=system_bus.address)
        async with running(clock):
            await clock.until_registered()
        assert await gone(host) == "unregistered"


async def test_the_end_of_its_session_is_not_taken_for_a_broken_channel(
    system_bus: PrivateBus, logind: StandinLogind, host: MuxEnd, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        await clock.until_registered()
        await host.value("guest-event-subscribe", b'{"events": ["AGENT_*"]}')
        session = clock.session
        await logind.control.logout(session)
        assert await gone(host) == "session-ended"
        await clock.is_released.wait()
        again = await logind.control.login("tester", os.getuid())
        await logind.control.add_process(again, os.getpid())
        await registered(host)
        await clock.until_registered()
        assert clock.session == again
        assert [name for name, _ in clock.hooks] == ["registered", "released", "registered"]


async def test_commands_that_come_and_go_leave_the_channel(
    system_bus: PrivateBus, host: MuxEnd, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with running(clock):
        await clock.until_registered()
        channel = clock._core._channel
        clock.provide(More())
        await until_served(host, "__org.example_more")
        assert clock._core._channel is channel
        stream = await host.open("__org.example_more", arguments(), credit=100)
        await host.send(stream, b"hello")
        assert await host.data(stream, 5) == b"hello"


async def test_the_stock_agent_serves_files_by_streams(
    system_bus: PrivateBus, session_bus: PrivateBus, host: MuxEnd, running: Running, tmp_path: Path
) -> None:
    content = os.urandom(100_000)
    (path := tmp_path / "file").write_bytes(content)
    agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address)
    async with running(agent):
        await until_served(host, "guest-file-download")
        stream = await host.open("guest-file-download", arguments(path=str(path)), credit=WINDOW)
        assert await host.data(stream, len(content)) == content
        value = (await host.close_of(stream)).value
        assert value is not None
        assert json.loads(value)["bytes"] == len(content)
        host.mux.close(stream)
        await host.flush()
        assert isinstance(await host.ask("session-get-info", arguments()), Reply)
