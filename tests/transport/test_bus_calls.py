"""Calls from the caller's side: answers, errors, descriptors, cancellation, queues, sizes."""

import asyncio
import os
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from guestmux_transport import bus_codec
from guestmux_transport.bus import Bus
from guestmux_transport.bus_exports import IncomingCall, Results
from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.errors import CallError, CallTimeout, InvalidValue, MethodError, QueueFull, TooLarge
from tests.support.bus_names import INTERFACE, PATH, ask, offer, ping
from tests.support.dbus_daemon import PrivateBus
from tests.transport.conftest import Connect

pytestmark = pytest.mark.anyio

MEGABYTE = 1024 * 1024


async def test_an_error_answer_is_raised_with_its_name_and_text(client: Bus, service: Bus) -> None:
    def refuse(_call: IncomingCall) -> Results:
        raise MethodError("org.guestmux.Error.Denied", "ask the administrator")

    offer(service, "Refuse", "", "", refuse)
    with pytest.raises(CallError) as error:
        await ask(client, service, "Refuse")
    assert (error.value.name, error.value.text) == ("org.guestmux.Error.Denied", "ask the administrator")
    assert (error.value.error_class, error.value.desc) == (error.value.name, error.value.text)


async def test_a_call_to_nobody_is_an_error(client: Bus) -> None:
    with pytest.raises(CallError, match="ServiceUnknown"):
        await ask(client, "org.example.Nobody", "Any")
    assert client.open_calls == 0


async def test_a_long_error_text_is_cut(client: Bus, service: Bus) -> None:
    def refuse(_call: IncomingCall) -> Results:
        raise MethodError("org.guestmux.Error.Denied", "x" * 100_000)

    offer(service, "Refuse", "", "", refuse)
    with pytest.raises(CallError) as error:
        await ask(client, service, "Refuse")
    assert len(error.value.text) == 4096


async def test_descriptors_go_both_ways(client: Bus, service: Bus) -> None:
    def answer(call: IncomingCall) -> Results:
        fd = call.take_fd(call.body[0])
        read_end, write_end = os.pipe()
        os.write(write_end, b"from the service; got " + os.read(fd, 100))
        os.close(write_end)
        os.close(fd)
        call.reply_fds.append(read_end)
        return (0,)

    offer(service, "Exchange", "h", "h", answer)
    read_end, write_end = os.pipe()
    os.write(write_end, b"a letter")
    for _ in range(50):
        os.write(write_end, b"!")
        reply = await ask(client, service, "Exchange", "h", [0], fds=[read_end])
        assert reply.body == [0]
        assert os.read(reply.fds[0], 100).startswith(b"from the service; got ")
        os.close(reply.fds[0])
    os.close(read_end)
    os.close(write_end)


async def test_descriptors_find_their_message_among_others(client: Bus, service: Bus) -> None:
    seen: list[tuple[int, int]] = []

    def note(call: IncomingCall) -> Results:
        seen.append((call.body[0], len(call.fds)))
        return ()

    offer(service, "Note", "u", "", note)
    fd = os.open(os.devnull, os.O_RDONLY)
    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(partial(ask, client, service, "Note", "u", [number], fds=[fd] * (number % 3)))
    os.close(fd)
    assert seen == [(number, number % 3) for number in range(6)]


async def test_descriptors_that_nobody_takes_are_closed(client: Bus, service: Bus) -> None:
    read_end, write_end = os.pipe()
    offer(service, "Ignore", "", "", lambda _call: ())
    await ask(client, service, "Ignore", fds=[write_end])
    with pytest.raises(CallError, match="UnknownMethod"):
        await ask(client, service, "NoSuchMethod", fds=[write_end])
    os.close(write_end)
    assert os.read(read_end, 1) == b"", "somebody still holds the other end"
    os.close(read_end)


async def test_a_descriptor_that_did_not_come_is_an_error(client: Bus, service: Bus) -> None:
    offer(service, "Take", "h", "", lambda call: (call.take_fd(call.body[0]),))
    with pytest.raises(CallError, match="no file descriptor 3"):
        await ask(client, service, "Take", "h", [3])


async def test_a_cancelled_call_leaves_nothing_once_answered(client: Bus, service: Bus) -> None:
    started, release = anyio.Event(), anyio.Event()
    read_end, write_end = os.pipe()

    async def slow(call: IncomingCall) -> Results:
        started.set()
        await release.wait()
        call.reply_fds.append(os.dup(write_end))
        return ()

    offer(service, "Slow", "", "", slow)
    calling = asyncio.ensure_future(ask(client, service, "Slow"))
    await started.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    release.set()
    offer(service, "Echo", "", "", lambda _call: ())
    await ask(client, service, "Echo")
    assert client.open_calls == 0
    os.close(write_end)
    assert os.read(read_end, 1) == b"", "the late answer's descriptor is still open"
    os.close(read_end)


async def test_a_destination_that_holds_its_share_makes_others_wait_within_their_deadline(
    connect: Connect, service: Bus
) -> None:
    async def never(_call: IncomingCall) -> Results:
        await anyio.sleep_forever()
        return ()

    client = await connect(limits=BusLimits(pending_per_destination=1))
    offer(service, "Never", "", "", never)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(ask, client, service, "Never", timeout=60))
        await ping(client)
        with pytest.raises(CallTimeout, match="1 before it are unanswered"):
            await ask(client, service, "Never", timeout=0.02)
        assert client.open_calls == 1
        group.cancel_scope.cancel()


async def test_a_callee_that_leaves_ends_the_call(client: Bus, connect: Connect) -> None:
    started = anyio.Event()
    service = await connect()

    async def never(_call: IncomingCall) -> Results:
        started.set()
        await anyio.sleep_forever()
        return ()

    offer(service, "Never", "", "", never)
    calling = asyncio.ensure_future(ask(client, service, "Never", timeout=60))
    await started.wait()
    await service.aclose()
    with pytest.raises(CallError, match="NoReply"):
        await calling
    assert client.open_calls == 0


async def test_a_bus_that_does_not_read_fills_a_bounded_queue(daemon: PrivateBus, connect: Connect) -> None:
    bus = await connect(limits=BusLimits(queued_bytes=MEGABYTE))

    def burst() -> None:
        for _ in range(100):
            bus.emit(PATH, INTERFACE, "Burst", "ay", [bytes(100_000)])

    with daemon.stopped():
        with pytest.raises(QueueFull):
            burst()
        with pytest.raises(QueueFull):
            await ask(bus, "org.example.Nobody", "Any", "ay", [bytes(100_000)])
    await ping(bus)
    bus.emit(PATH, INTERFACE, "Burst", "ay", [bytes(100_000)])
    assert bus.open_calls == 0


async def test_descriptors_wait_in_the_queue_as_well(daemon: PrivateBus, client: Bus, service: Bus) -> None:
    counts: list[int] = []

    def count(call: IncomingCall) -> Results:
        counts.append(len(call.fds))
        return ()

    offer(service, "Count", "ay", "", count)
    read_end, write_end = os.pipe()
    async with anyio.create_task_group() as group:
        with daemon.stopped():
            for fds in [(), (write_end,), (), (write_end, write_end)]:
                group.start_soon(partial(ask, client, service, "Count", "ay", [bytes(300_000)], fds=fds))
            await anyio.lowlevel.checkpoint()
            os.close(write_end)
    assert counts == [0, 1, 0, 2]
    assert os.read(read_end, 1) == b""
    os.close(read_end)


async def test_an_answer_of_100_megabytes_is_refused_and_the_connection_lives(
    client: Bus, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The answering side has to send more than the adapter ever would.
    monkeypatch.setattr(bus_codec, "MAX_MESSAGE_BYTES", 128 * MEGABYTE)
    service = await connect(limits=BusLimits(message_bytes=128 * MEGABYTE))
    offer(service, "Huge", "", "ayay", lambda _call: (bytes(50 * MEGABYTE), bytes(50 * MEGABYTE)))
    with pytest.raises(TooLarge, match="over the size limit"):
        await ask(client, service, "Huge")
    await ping(client)
    assert client._socket._framer.held < MEGABYTE


async def test_a_call_over_the_size_limit_is_answered_with_an_error(connect: Connect, service: Bus) -> None:
    big = await connect(limits=BusLimits(message_bytes=64 * MEGABYTE))
    offer(service, "Take", "ay", "", lambda _call: ())
    with pytest.raises(CallError, match=r"org\.guestmux\.Error\.TooLarge"):
        await ask(big, service, "Take", "ay", [bytes(40 * MEGABYTE)])
    await ask(big, service, "Take", "ay", [b""])


async def test_a_call_that_cannot_be_sent_leaves_nothing(client: Bus, service: Bus) -> None:
    with pytest.raises(InvalidValue):
        await ask(client, service, "Any", "s", ["nul\0"])
    with pytest.raises(TooLarge):
        await ask(client, service, "Any", "ay", [bytes(33 * MEGABYTE)])
    assert client.open_calls == 0
    await ping(client)


async def test_closing_ends_calls_and_handlers(connect: Connect, service: Bus) -> None:
    client = await connect()
    started = anyio.Event()
    ended: list[str] = []

    async def never(_call: IncomingCall) -> Results:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("never")
        return ()

    offer(service, "Never", "", "", never)
    calling = asyncio.ensure_future(ask(client, service, "Never", timeout=60))
    await started.wait()
    await client.aclose()
    with pytest.raises(Exception, match="closed here"):
        await calling
    await service.aclose()
    assert ended == ["never"]
