"""Calls, streams and events between two ends over a socket pair."""

import asyncio
import os
from collections.abc import Callable

import anyio
import pytest

from guestmux_protocol.mux import RESET, Failure, MuxLimits, MuxTooLarge
from guestmux_transport.mux_connection import LEAST_WINDOW, RECEIVE_BUDGET, MuxConnection
from guestmux_transport.mux_driver import MuxEnd
from guestmux_transport.mux_errors import MuxLost, MuxRefused, StreamFailed
from guestmux_transport.mux_stream import MuxStream
from tests.support.mux_ends import Ends, mux_ends, pipe_pair
from tests.support.pipes import assert_idle, turns

pytestmark = pytest.mark.anyio

LARGE = os.urandom(3_000_000)


async def receive_all(stream: MuxStream) -> bytes:
    received = bytearray()
    async for data in stream:
        received += data
    return bytes(received)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so; the time limit ends what never is."""
    while not condition():
        await turns(1)


async def echo(stream: MuxStream) -> None:
    async for data in stream:
        await stream.send(data)
    stream.close(b'"done"')


async def until_settled(ends: Ends) -> None:
    """Everything that was queued has arrived, and was answered."""
    await ends.host.call("echo", b"")
    await turns()


async def test_calls_are_answered_as_they_are_asked() -> None:
    async with mux_ends() as ends:
        assert await ends.host.call("echo", b'{"a": 1}', b"{}") == b'{"a": 1}{}'
        assert await ends.host.call("echo", b"12", b"", convert=lambda value: int(value) + 1) == 13
        with pytest.raises(MuxRefused, match="no such here") as caught:
            await ends.host.call("such", b"{}")
        assert caught.value.error_class == "GenericError"


async def test_many_calls_wait_for_their_turn() -> None:
    async with mux_ends(limits=MuxLimits(max_requests=3)) as ends:
        answers = await asyncio.gather(*(ends.host.call("echo", b"%d" % i, b"") for i in range(500)))
    assert answers == [b"%d" % i for i in range(500)]


async def test_a_call_that_waits_for_its_turn_can_be_cancelled() -> None:
    async with mux_ends(limits=MuxLimits(max_requests=1)) as ends:
        first = asyncio.ensure_future(ends.host.call("wait", b"{}"))
        second = asyncio.ensure_future(ends.host.call("echo", b"2"))
        third = asyncio.ensure_future(ends.host.call("echo", b"3", b""))
        await turns()
        second.cancel()
        await turns()
        ends.agent.reply(ends.server.waiting[0], b"1")
        assert await first == b"1"
        assert await third == b"3"


async def test_a_cancelled_call_is_cancelled_at_the_server_and_its_answer_thrown_away() -> None:
    async with mux_ends() as ends:
        call = asyncio.ensure_future(ends.host.call("wait", b"{}"))
        await turns()
        call.cancel()
        await turns()
        (number,) = ends.server.cancelled
        ends.agent.error(number, "GenericError", "cancelled")
        await until_settled(ends)
        assert ends.host.mux.over() == ([], [])


async def test_what_no_frame_carries_is_refused_here() -> None:
    async with mux_ends(limits=MuxLimits(max_frame=512, value_bytes=512)) as ends:
        with pytest.raises(MuxTooLarge):
            await ends.host.call("echo", b"x" * 513)


async def test_an_error_in_the_conversion_is_the_callers() -> None:
    def convert(value: bytes) -> int:
        raise MuxRefused("GenericError", "not that")

    async with mux_ends() as ends:
        with pytest.raises(MuxRefused, match="not that"):
            await ends.host.call("echo", b"{}", convert=convert)


async def test_a_stream_carries_every_byte_both_ways_beyond_the_window() -> None:
    async with mux_ends(echo) as ends, await ends.host.open("echo", b"{}") as stream:
        assert stream.reply == b"{}"

        async def send() -> None:
            for start in range(0, len(LARGE), 100_001):
                await stream.send(LARGE[start : start + 100_001])
            await stream.send_eof()

        sending = asyncio.ensure_future(send())
        assert await receive_all(stream) == LARGE
        assert await stream.result() == b'"done"'
        await sending
        assert ends.host.mux.over() == ([], [])


async def test_a_sender_waits_for_the_receiver() -> None:
    async with mux_ends(limits=MuxLimits(window=10_000)) as ends:
        stream = await ends.host.open("echo", b"{}")
        await turns()
        sending = asyncio.ensure_future(stream.send(b"x" * 30_000))
        await until_settled(ends)
        assert not sending.done()
        (served,) = ends.server.streams
        received = 0
        while received < 30_000:
            received += len(await served.receive(700))
        await sending
        await stream.aclose()


async def test_a_stalled_stream_stalls_nobody_else() -> None:
    async with mux_ends(echo) as ends:
        stalled = await ends.host.open("echo", b"{}")
        sending = asyncio.ensure_future(stalled.send(LARGE))
        await turns()
        for i in range(50):
            assert await ends.host.call("echo", b"%d" % i, b"") == b"%d" % i
        async with await ends.host.open("echo", b"{}") as other:
            await other.send(b"hello")
            assert await other.receive() == b"hello"
        sending.cancel()
        await stalled.aclose()


async def test_a_refused_stream() -> None:
    async with mux_ends() as ends:
        with pytest.raises(MuxRefused, match="refused"):
            await ends.host.open("refuse", b"{}")


async def test_a_broken_stream_names_who_broke_it() -> None:
    async def fail(stream: MuxStream) -> None:
        await stream.send(b"some")
        await until_settled_agent.wait()
        stream.fail("GenericError", "disk full")

    until_settled_agent = asyncio.Event()
    async with mux_ends(fail) as ends:
        stream = await ends.host.open("x", b"{}")
        assert await stream.receive() == b"some"
        until_settled_agent.set()
        with pytest.raises(StreamFailed, match="disk full") as caught:
            await stream.receive()
        assert caught.value.party == "agent"
        with pytest.raises(StreamFailed):
            await stream.send(b"x")
        with pytest.raises(StreamFailed):
            await stream.result()
        await stream.aclose()
        assert ends.host.mux.over() == ([], [])


async def test_a_stream_that_is_given_up_is_told_to_the_server() -> None:
    async with mux_ends() as ends:
        async with await ends.host.open("x", b"{}") as stream:
            await stream.send(b"abc")
        await until_settled(ends)
        ((number, failure),) = ends.server.broken
        assert number == stream.number
        assert failure == Failure("GenericError", "the stream was given up", "host")
        with pytest.raises(StreamFailed):
            await ends.server.streams[0].send(b"x")
        for use in (stream.receive(), stream.send(b"x"), stream.result()):
            with pytest.raises(anyio.ClosedResourceError):
                await use
        await stream.aclose()


async def test_nothing_is_sent_after_the_end() -> None:
    async with mux_ends(echo) as ends:
        stream = await ends.host.open("x", b"{}")
        await stream.send_eof()
        await stream.send_eof()
        with pytest.raises(anyio.ClosedResourceError):
            await stream.send(b"x")
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        assert await stream.result() == b'"done"'


async def test_a_side_that_has_all_may_still_send() -> None:
    async def backwards(stream: MuxStream) -> None:
        stream.close(b"1")
        got.append(await receive_all(stream))

    got: list[bytes] = []
    async with mux_ends(backwards) as ends:
        stream = await ends.host.open("x", b"{}")
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        await stream.send(LARGE)
        await stream.send_eof()
        await until_settled(ends)
        await until(lambda: bool(got))
        assert got == [LARGE]
        assert ends.agent.mux.over() == ([], [])


async def test_a_cancelled_open_leaves_nothing_open() -> None:
    async with mux_ends() as ends:
        opening = asyncio.ensure_future(ends.host.open("later", b"{}"))
        await turns()
        opening.cancel()
        await turns()
        (incoming,) = ends.server.kept
        assert ends.server.cancelled == [incoming.id]
        served = await incoming.accept(b"{}")
        await until_settled(ends)
        with pytest.raises(StreamFailed, match="cancelled"):
            await served.receive()
        assert ends.host.mux.over() == ends.agent.mux.over() == ([], [])


async def test_an_open_cancelled_as_it_is_answered_leaves_nothing_open() -> None:
    async with mux_ends() as ends:
        opening = asyncio.ensure_future(ends.host.open("later", b"{}"))
        await turns()
        await ends.server.kept[0].accept(b"{}")
        await until(lambda: bool(ends.host._streams))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await until_settled(ends)
        assert ends.host.mux.over() == ends.agent.mux.over() == ([], [])


async def test_the_more_streams_the_less_each_may_have_underway() -> None:
    many = RECEIVE_BUDGET // LEAST_WINDOW + 1
    async with mux_ends(limits=MuxLimits(max_streams=many)) as ends:
        streams = [await ends.host.open("x", b"{}") for _ in range(many)]
        first, last = ends.server.streams[0], ends.server.streams[-1]
        await until_settled(ends)
        assert ends.agent.mux.sendable(first.number) == ends.host.mux.limits.window
        assert ends.agent.mux.sendable(last.number) == LEAST_WINDOW
        for stream in streams:
            stream.give_up()


async def test_the_first_streams_give_up_what_the_later_ones_may_have_and_get_it_back() -> None:
    many = 128
    share = RECEIVE_BUDGET // many
    async with mux_ends() as ends:
        streams = [await ends.host.open("x", b"{}") for _ in range(many)]
        first = ends.server.streams[0]
        whole = ends.host.mux.limits.window
        await _pass_on(first, streams[0], whole)
        await until_settled(ends)
        assert ends.agent.mux.sendable(first.number) == share
        for stream in streams[1:]:
            stream.give_up()
        await _pass_on(first, streams[0], share // 2)
        await until_settled(ends)
        assert ends.agent.mux.sendable(first.number) == whole
        streams[0].give_up()


async def _pass_on(sender: MuxStream, receiver: MuxStream, count: int) -> None:
    await sender.send(bytes(count))
    while count:
        count -= len(await receiver.receive())


async def test_small_pieces_are_received_together() -> None:
    async with mux_ends() as ends:
        stream = await ends.host.open("x", b"{}")
        await turns()
        for _ in range(100):
            await ends.server.streams[0].send(b"k")
        await until_settled(ends)
        assert await stream.receive() == b"k" * 100
        await stream.aclose()


async def test_events_come_in_order_with_the_replies_around_them() -> None:
    async with mux_ends() as ends:
        for seq in (1, 2):
            ends.agent.event(seq, "APP_STARTED", b"{}", 5)
        await until_settled(ends)
        assert [event.seq for batch in ends.events for event in batch] == [1, 2]
        ends.host.ack(2, 7)
        ends.host.mux.nak(3, "GenericError", "no")
        await until_settled(ends)
        assert ends.acks == [(2, 7)]
        assert ends.naks == [(3, "GenericError", "no")]


async def test_a_sender_of_events_waits_for_room() -> None:
    async with mux_ends() as ends:
        sent = 0
        while ends.agent.mux.event_room:
            ends.agent.event(sent, "X", b"x" * 10_000, 0)
            sent += 1
        await ends.agent.event_room()
        await until(lambda: sum(len(batch) for batch in ends.events) == sent)


async def test_everything_fails_when_the_peer_leaves() -> None:
    async with mux_ends() as ends:
        stream = await ends.host.open("x", b"{}")
        waiting = [
            asyncio.ensure_future(ends.host.call("wait", b"{}")),
            asyncio.ensure_future(ends.host.open("later", b"{}")),
            asyncio.ensure_future(stream.receive()),
            asyncio.ensure_future(stream.result()),
            asyncio.ensure_future(stream.send(LARGE)),
        ]
        await turns()
        ends.agent_pipe.close()
        for each in waiting:
            with pytest.raises(MuxLost, match="left"):
                await each
        with pytest.raises(MuxLost):
            await ends.host.call("echo", b"{}")
        await ends.host.flush()
        assert ends.host.end is not None
        assert ends.host.end.reset_rest is None
        with pytest.raises(MuxLost):
            await ends.server.kept[0].accept(b"{}")
        ends.server.kept[0].refuse("GenericError", "too late")
        ends.agent.reply(1, b"too late")
        await ends.agent.event_room()


async def test_a_reset_hands_the_pipe_back() -> None:
    ours, theirs = pipe_pair()
    connection = MuxConnection(ours, "asker", party="host")
    theirs.write(RESET + b'{"QMP": 1}')
    end = await connection.run()
    assert end.reset_rest == b'{"QMP": 1}'
    assert not end.violation
    theirs.write(b"more")
    assert await ours.receive() == b"more"
    ours.close()
    theirs.close()


async def test_a_violation_hands_the_pipe_back() -> None:
    ours, theirs = pipe_pair()
    connection = MuxConnection(ours, "server", party="agent", early=b"{}")
    end = await connection.run()
    assert end.violation
    assert end.reset_rest == b""
    assert "broke the protocol" in end.reason
    ours.close()
    theirs.close()


async def test_who_resets_sends_nothing_more() -> None:
    async with mux_ends() as ends:
        await ends.host.call("echo", b"{}")
        ends.host.reset()
        ends.host.reset()
        with pytest.raises(MuxLost, match="given up here"):
            await ends.host.call("echo", b"{}")
        await until(lambda: ends.agent.end is not None)
        assert ends.agent.end == MuxEnd("the other side gave up the mux dialect", b"")


async def test_without_a_server_nothing_is_found() -> None:
    host_pipe, agent_pipe = pipe_pair()
    host = MuxConnection(host_pipe, "asker", party="host")
    agent = MuxConnection(agent_pipe, "server", party="agent")
    runs = asyncio.gather(host.run(), agent.run())
    for asked in (host.call("x", b"{}"), host.open("x", b"{}")):
        with pytest.raises(MuxRefused, match="x has not been found"):
            await asked
    agent.event(1, "X", b"{}", 0)
    await turns()
    host_pipe.close()
    agent_pipe.close()
    await runs


async def test_flush_waits_until_all_is_with_the_kernel() -> None:
    async with mux_ends() as ends:
        stream = await ends.host.open("x", b"{}")
        await until_settled(ends)
        await stream.send(LARGE[:1_000_000])
        await ends.host.flush()
        assert not ends.host.mux.pending
        assert not ends.host_pipe.pending
        await stream.aclose()


async def test_an_idle_connection_costs_nothing() -> None:
    async with mux_ends(echo) as ends:
        stream = await ends.host.open("x", b"{}")
        await stream.send(b"x")
        await stream.receive()
        await until_settled(ends)
        await assert_idle()
        await stream.aclose()
