"""How a channel comes, goes, and takes the registration with it."""

import logging
import os
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_protocol.mux import encode
from guestmux_protocol.mux.frames import Ack, Close, Data, Hello, Nak, Reply, Request
from guestmux_session import Disconnected, NotRegistered
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.errors import MethodError
from guestmux_transport.mux_errors import MuxLost, MuxRefused
from guestmux_transport.names import ERROR_PREFIX, MANAGER_INTERFACE, MANAGER_PATH
from tests.session.conftest import Running
from tests.support.clock_agent import Clock, Tick
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_manager import StandinManager, standin_manager

pytestmark = pytest.mark.anyio

CHANNEL = "ha{sv}"


class QuietClock(Clock):
    """Wants no channel."""

    channel = False


def open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def entries(manager: StandinManager, count: int) -> list[str]:
    while len(manager.log) < count:
        await manager.changed()
    return [entry[0] for entry in manager.log]


async def test_an_eventd_without_channels_is_served_over_d_bus(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(bus=system_bus.address)
    with caplog.at_level(logging.INFO):
        async with standin_manager(system_bus.address) as manager, running(clock):
            agent = await manager.agent()
            await clock.until_registered()
            assert await manager.call(agent, "__org.example_tick") == {"count": 3}
            assert await clock.ticked(Tick(count=1)) == 2
            await clock.ticked.post(Tick(count=2))
            assert manager.log[-1] == ("emit", "__org.example_TICKED", {"count": 2})
    assert "org.example.clock: no channel, D-Bus alone: no method AcquireChannel" in caplog.text


@pytest.mark.parametrize("name", ["Unsupported", "LimitExceeded", "Denied"])
async def test_a_refused_channel_leaves_d_bus(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager:
        manager.channel_answer = MethodError(ERROR_PREFIX + name, "not now")
        with caplog.at_level(logging.INFO):
            async with running(Clock(bus=system_bus.address)):
                agent = await manager.agent()
                assert await manager.call(agent, "__org.example_tick") == {"count": 3}
    assert "no channel, D-Bus alone: not now" in caplog.text


async def test_an_agent_may_want_no_channel(system_bus: PrivateBus, running: Running) -> None:
    clock = QuietClock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        agent = await manager.agent()
        await clock.until_registered()
        assert await clock.ticked(Tick(count=1)) == 2
        assert await manager.call(agent, "__org.example_tick") == {"count": 3}
        assert not manager.channels


async def test_a_posted_event_that_d_bus_carries_may_be_refused(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    clock = QuietClock(bus=system_bus.address)
    async with standin_manager(system_bus.address) as manager, running(clock):
        await clock.until_registered()
        manager.emit_answer = MethodError(ERROR_PREFIX + "LimitExceeded", "slow down")
        for _ in range(3):
            await clock.ticked.post(Tick(count=1))
    assert caplog.text.count("an event was refused: slow down") == 1


async def test_a_lost_channel_is_the_registrations_end(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        first = await manager.channel()
        await clock.until_registered()
        first.close()
        second = await manager.channel(2)
        await clock.until_registered()
        assert await second.call("__org.example_tick") == {"count": 3}
        assert await entries(manager, 4) == ["registered", "channel", "registered", "channel"]
        assert [name for name, _ in clock.hooks] == ["registered", "released", "registered"]
        assert clock.hooks[1] == ("released", "the channel ended")


async def test_an_eventd_that_noticed_first_is_taken_at_its_word(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        channel = await manager.channel()
        manager.agents.clear()
        channel.close()
        await manager.channel(2)
        await clock.until_registered()
    assert "did not take the registration back" not in caplog.text


async def test_a_released_agent_waits_though_its_channel_ended(
    system_bus: PrivateBus, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        channel = await manager.channel()
        await clock.until_registered()
        await manager.release(await manager.agent())
        channel.close()
        await clock.is_released.wait()
        await anyio.wait_all_tasks_blocked()
        assert [entry[0] for entry in manager.log] == ["registered", "channel"]


async def test_who_waits_for_a_number_when_it_ends_is_told(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        channel = await manager.channel()
        await clock.until_registered()
        channel.answer = lambda channel, _event: channel.close()
        with pytest.raises(Disconnected, match="may or may not have been taken"):
            await clock.ticked(Tick(count=1))
        with pytest.raises((Disconnected, NotRegistered)):
            await clock.ticked.post(Tick(count=1))


async def test_calls_end_with_the_channel(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        channel = await manager.channel()
        async with anyio.create_task_group() as group:
            group.start_soon(_lost, channel)
            await clock.entered.wait()
            channel.close()
        await clock.cancelled.wait()


async def _lost(channel: Any) -> None:
    with pytest.raises(MuxLost):
        await channel.call("__org.example_wait")


async def test_an_agent_that_stops_lets_its_answers_go_out(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager:
        answers: list[str] = []
        async with anyio.create_task_group() as group, running(clock):
            channel = await manager.channel()
            await clock.until_registered()

            async def ask() -> None:
                answers.append(await channel.call("__org.example_wait"))

            group.start_soon(ask)
            await clock.entered.wait()
            clock.gate.set()
        assert answers == ["opened"]
        await channel.over()
        assert await entries(manager, 3) == ["registered", "channel", "unregistered"]


async def test_what_is_asked_of_an_agent_that_stops_is_refused(
    system_bus: PrivateBus, running: Running
) -> None:
    """Its last answers wait for an eventd that reads late, and asks more before it reads."""
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        channel = await manager.channel()
        await clock.until_registered()
        ended = clock._core._channel
        assert ended is not None
        ended._service.close("the registration ended: x")
        for ask in (channel.call("__org.example_tick"), channel.open("__org.example_tick")):
            with pytest.raises(MuxRefused, match="the registration ended: x"):
                await ask


async def test_a_call_that_does_not_end_is_cancelled_when_the_agent_stops(
    system_bus: PrivateBus, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestmux_session.membership.FAREWELL", 0.05)
    clock = Clock(bus=system_bus.address)
    async with (
        standin_manager(system_bus.address, channel_out=CHANNEL) as manager,
        anyio.create_task_group() as group,
        running(clock),
    ):
        channel = await manager.channel()
        group.start_soon(_cancelled, channel)
        await clock.entered.wait()


async def _cancelled(channel: Any) -> None:
    with pytest.raises(MuxRefused, match="the registration ended: the agent is stopping"):
        await channel.call("__org.example_wait")


async def test_other_commands_keep_the_channel(system_bus: PrivateBus, running: Running) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        channel = await manager.channel()
        await clock.until_registered()
        other = QuietClock(bus=system_bus.address)
        clock.withdraw(other)
        assert await entries(manager, 3) == ["registered", "channel", "registered"]
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(MuxRefused, match="tick has not been found"):
            await channel.call("__org.example_tick")
        assert await clock.ticked(Tick(count=1)) == 1
        assert len(manager.channels) == 1


async def test_a_channel_that_ends_as_commands_change_is_replaced(
    system_bus: PrivateBus, running: Running
) -> None:
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        channel = await manager.channel()
        await clock.until_registered()
        channel.close()
        clock.withdraw(QuietClock(bus=system_bus.address))
        again = await manager.channel(2)
        with pytest.raises(MuxRefused, match="tick has not been found"):
            await again.call("__org.example_tick")
        assert await entries(manager, 4) == ["registered", "channel", "registered", "channel"]
        assert await clock.ticked(Tick(count=1)) == 1


HELLO = encode(Hello(1, 65536, 1 << 20, 1024, 256))
REQUEST = Request(1, "__org.example_tick", b"{}", b"{}")


VIOLATIONS = {
    "no frame": b"no frame",
    "reset": b"\xff",
    "no msgpack": HELLO + b"\xc1",
    "a server's frame": HELLO + encode(Reply(1, b"1")),
    "data of no stream": HELLO + encode(Data(1, b"x")),
    "end of no stream": HELLO + encode(Close(1)),
    "no event to acknowledge": HELLO + encode(Ack(1, 1)),
    "no event to refuse": HELLO + encode(Nak(1, "X", "x")),
    "an id twice": HELLO + encode(REQUEST) + encode(REQUEST),
    "greeted twice": HELLO + HELLO,
    "asked before greeted": encode(REQUEST),
}


@pytest.mark.parametrize("untrusted_bytes", VIOLATIONS.values(), ids=VIOLATIONS)
async def test_whatever_breaks_the_rules_ends_it(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture, untrusted_bytes: bytes
) -> None:
    """eventd is trusted with nothing that it sends: it is another process, and reads what hosts and users send it."""
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager:
        manager.raw_bytes = untrusted_bytes
        async with running(Clock(bus=system_bus.address)):
            channel = await manager.channel()
            assert await channel.call("__org.example_tick") == {"count": 3}
    assert "the channel to eventd ended: the other side " in caplog.text


async def test_ever_lost_channels_are_asked_for_ever_less_often(
    system_bus: PrivateBus, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def pause(self: Any) -> None:
        waits.append(self._backoff.next())

    monkeypatch.setattr("guestmux_session.channel_keeper.ChannelKeeper.pause", pause)
    clock = Clock(bus=system_bus.address)
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager, running(clock):
        for number in range(1, 5):
            (await manager.channel(number)).close()
        await manager.channel(5)
    assert waits == sorted(waits)
    assert waits[-1] > 5 * waits[0]


def _nothing() -> list[int]:
    return []


def _file() -> list[int]:
    return [os.open("/dev/null", os.O_RDONLY)]


def _datagram() -> list[int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.close()
    return [theirs.detach()]


def _network() -> list[int]:
    return [socket.socket(socket.AF_INET).detach()]


@pytest.mark.parametrize("make", [_nothing, _file, _datagram, _network])
async def test_what_is_no_channel_is_not_used(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture, make: Any
) -> None:
    clock = Clock(bus=system_bus.address)
    open_before = open_fds()
    async with standin_manager(system_bus.address, channel_out=CHANNEL) as manager:
        real = manager.interface(channel_out=CHANNEL).methods

        def acquire(call: IncomingCall) -> Results:
            call.reply_fds.extend(make())
            manager.bus.export(MANAGER_PATH, Interface(MANAGER_INTERFACE, methods=real))
            return (0, {})

        faulty = {**real, "AcquireChannel": ("oa{sv}", CHANNEL, acquire)}
        manager.bus.export(MANAGER_PATH, Interface(MANAGER_INTERFACE, methods=faulty))
        async with running(clock):
            channel = await manager.channel()
            assert await channel.call("__org.example_tick") == {"count": 3}
    assert "not registered: eventd " in caplog.text
    assert open_fds() <= open_before


async def test_an_answer_of_another_type_is_no_channel(
    system_bus: PrivateBus, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async with standin_manager(system_bus.address) as manager:
        methods = manager.interface(channel_out=CHANNEL).methods
        answered = anyio.Event()

        def acquire(_call: IncomingCall) -> Results:
            answered.set()
            return ("no",)

        faulty = {**methods, "AcquireChannel": ("oa{sv}", "s", acquire)}
        manager.bus.export(MANAGER_PATH, Interface(MANAGER_INTERFACE, methods=faulty))
        async with running(Clock(bus=system_bus.address)):
            await answered.wait()
            assert (await entries(manager, 2)) == ["registered", "registered"]
    assert "did not answer AcquireChannel with a socket" in caplog.text
