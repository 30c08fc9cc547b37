"""Streams of events: snapshot, filters, resuming, gaps, slow consumers, and guests that come back."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import anyio
import pytest

import guestmux
from guestmux.event_queue import SLOW_CONSUMER
from guestmux.guest import Guest
from guestmux_protocol.addresses import parse_dial_address
from guestmux_protocol.messages import Event, encode_event
from tests.support.standin_guest import SILENCE, Refused, StandInGuest, session
from tests.support.streams import names, take

pytestmark = pytest.mark.anyio

CONCURRENT = pytest.mark.parametrize("dialect", ["mux", "qmp"])
JSON_ONLY = pytest.mark.parametrize("dialect", ["qmp", "qga"])
MUX_ONLY = pytest.mark.parametrize("dialect", ["mux"])
QGA_ONLY = pytest.mark.parametrize("dialect", ["qga"])


async def test_a_stream_begins_with_a_snapshot(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.sessions = [session("c2")]
    async with guest.events() as stream:
        assert [found.session for found in stream.snapshot.sessions] == ["c2"]
        assert stream.position == guestmux.Position(epoch="epoch-1", seq=0)
        standin.emit("SESSION_LOCK", session="c2")
        [event] = await take(stream, 1)
    assert isinstance(event, guestmux.Event)
    assert (event.name, event.data["session"], event.epoch, event.seq) == ("SESSION_LOCK", "c2", "epoch-1", 1)
    assert event.source == "verified"
    assert event.time is not None
    assert event.time.isoformat() == "2023-11-14T22:13:21.500000+00:00"


async def test_iterating_begins_it(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async def emit() -> None:
        await standin.until_asked("guest-event-subscribe")
        standin.emit("SESSION_LOCK")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(emit())
        async for item in guest.events("SESSION_*"):
            assert names([item]) == ["SESSION_LOCK"]
            break


async def test_there_is_no_snapshot_before_it_begins(guest: guestmux.Guest) -> None:
    with pytest.raises(guestmux.NotConnected, match="async with"):
        _ = guest.events().snapshot


async def test_a_pattern_that_is_none(guest: guestmux.Guest) -> None:
    with pytest.raises(guestmux.PatternError):
        guest.events("SESSION LOCK")


async def test_each_stream_gets_what_it_wants(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events("SESSION_*") as sessions, guest.events("AGENT_*") as agents:
        assert standin.requests["guest-event-subscribe"][-1].arguments["events"] == ["AGENT_*", "SESSION_*"]
        standin.emit("AGENT_GONE")
        standin.emit("SESSION_LOCK")
        assert names(await take(sessions, 1)) == ["SESSION_LOCK"]
        assert names(await take(agents, 1)) == ["AGENT_GONE"]


async def test_a_second_stream_costs_the_first_nothing(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """The second subscription replaces the first at the guest; what the first had not got yet must come again."""
    async with guest.events("SESSION_*") as first:
        standin.emit_withheld("SESSION_LOCK")
        async with guest.events("SESSION_*") as second:
            assert names(await take(first, 1)) == ["SESSION_LOCK"], "it was in the guest's journal only"
            standin.emit("SESSION_UNLOCK")
            assert names(await take(second, 1)) == ["SESSION_UNLOCK"], "the lock is in its snapshot"
            assert names(await take(first, 1)) == ["SESSION_UNLOCK"]


async def test_events_that_came_with_the_reply_are_not_missed(
    guest: guestmux.Guest, standin: StandInGuest
) -> None:
    standin.emit("SESSION_LOGIN")
    standin.emit("SESSION_LOCK")
    async with guest.events(since=guestmux.Position(epoch="epoch-1", seq=1)) as stream:
        assert names(await take(stream, 1)) == ["SESSION_LOCK"]


async def test_the_guest_tells_what_is_gone(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events("SESSION_*") as stream:
        standin.lose(1, 40, "slow-reader")
        assert await take(stream, 1) == [guestmux.Gap(1, 40, "slow-reader")]


async def test_another_journal_is_told(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.emit("SESSION_LOGIN")
    async with guest.events(since=guestmux.Position(epoch="another", seq=7)) as stream:
        gap, event = await take(stream, 2)
    assert gap == guestmux.Gap(0, 0, "new-epoch")
    assert names([event]) == ["SESSION_LOGIN"]


async def test_a_position_that_the_guest_refuses(guest: guestmux.Guest) -> None:
    with pytest.raises(guestmux.CommandFailed, match="since"):
        await guest.events(since=guestmux.Position(epoch="epoch-1", seq=99)).begin()


async def test_a_guest_without_events(guest: guestmux.Guest, standin: StandInGuest) -> None:
    del standin.commands["guest-event-subscribe"]
    with pytest.raises(guestmux.CommandNotFound):
        async with guest.events():
            raise AssertionError("it has none")


@pytest.mark.parametrize("answer", [17, {}, {"epoch": 1, "seq": 2, "snapshot": {"sessions": []}}])
async def test_an_answer_of_another_form(guest: guestmux.Guest, standin: StandInGuest, answer: Any) -> None:
    standin.commands["guest-event-subscribe"] = lambda _: answer
    with pytest.raises(guestmux.UnexpectedReply):
        await guest.events().begin()
    await guest.ping()


@JSON_ONLY
async def test_events_of_any_form(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events() as stream:
        timestamps = (
            '{"seconds": 99999999999999999, "microseconds": -5}',
            '{"seconds": -1, "microseconds": -1}',
        )
        for data, timestamp in zip(("{}", '{"seq": "x", "epoch": 5}'), timestamps, strict=True):
            standin.send(f'{{"event": "ODD", "data": {data}, "timestamp": {timestamp}}}\n'.encode())
        standin.send(encode_event(Event("EVENTS_LOST", {"from": "x"}, 0, 0)))
        first, second, gap = await take(stream, 3)
    assert isinstance(first, guestmux.Event)
    assert isinstance(second, guestmux.Event)
    assert (first.time, first.seq, first.epoch, first.source) == (None, None, "", "claimed")
    assert (second.time, second.seq, second.epoch) == (None, None, "")
    assert gap == guestmux.Gap(0, 0, "unknown")


async def test_resumes_after_the_connection_was_lost(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events("SESSION_*") as stream:
        standin.emit("SESSION_LOGIN")
        standin.hang_up()
        standin.emit_withheld("SESSION_LOCK")
        standin.sessions = [session("c2", locked=True)]
        login, disconnected, reconnected, lock = await take(stream, 4)
    assert names([login, lock]) == ["SESSION_LOGIN", "SESSION_LOCK"], "nothing is lost that the journal has"
    assert isinstance(disconnected, guestmux.Disconnected)
    assert "hung up" in disconnected.reason
    assert isinstance(reconnected, guestmux.Reconnected)
    assert (reconnected.resumed, reconnected.epoch, reconnected.seq) == (True, "epoch-1", 2)
    assert reconnected.snapshot.sessions[0].locked


@CONCURRENT
@pytest.mark.parametrize("half", [b"", b'{"event": "SESSION_L'])
async def test_resumes_after_the_guest_restarted(
    guest: guestmux.Guest, standin: StandInGuest, half: bytes
) -> None:
    async with guest.events() as stream:
        standin.emit("SESSION_LOGIN")
        standin.restart(half, new_epoch=True)
        items = await take(stream, 4)
        standin.emit("SESSION_LOCK")
        items += await take(stream, 1)
    assert names(items) == ["SESSION_LOGIN", "Disconnected", "Reconnected", "Gap", "SESSION_LOCK"]
    assert isinstance(items[2], guestmux.Reconnected)
    assert (items[2].resumed, items[2].epoch) == (True, "epoch-1+"), "what is lost is told"


@CONCURRENT
async def test_a_guest_that_went_back_in_time(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """A virtual machine reset to an earlier snapshot of its memory: the same journal, with fewer events."""
    async with guest.events() as stream:
        for _ in range(3):
            standin.emit("SESSION_LOCK")
        del standin.journal[1:]
        standin.restart()
        items = await take(stream, 6)
        standin.emit("SESSION_UNLOCK")
        items += await take(stream, 1)
    assert names(items)[3:] == ["Disconnected", "Reconnected", "Gap", "SESSION_UNLOCK"]
    assert isinstance(items[4], guestmux.Reconnected)
    assert not items[4].resumed
    assert items[5] == guestmux.Gap(0, 0, "rolled-back")


@QGA_ONLY
async def test_a_silent_restart_is_found_out(standin: StandInGuest) -> None:
    """Behind a qga port nothing tells of a restart, so after a time of silence the subscription is renewed."""
    guest = Guest(parse_dial_address(standin.address), renew_after=0.01)
    await guest.open()
    keeper = asyncio.create_task(guest.keep())
    async with guest.events() as stream:
        standin.restart_unseen()
        items = await take(stream, 2)
    assert names(items) == ["Reconnected", "Gap"]
    keeper.cancel()
    await asyncio.wait([keeper])


@CONCURRENT
async def test_a_guest_that_fell_silent_is_given_up(
    standin: StandInGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = Guest(parse_dial_address(standin.address), renew_after=0.01)
    await guest.open()
    keeper = asyncio.create_task(guest.keep())
    async with guest.events() as stream:
        monkeypatch.setattr("guestmux.subscriber.CALL_TIMEOUT", 0.02)
        subscribe = standin.commands["guest-event-subscribe"]
        standin.commands["guest-event-subscribe"] = lambda _: SILENCE
        [disconnected] = await take(stream, 1)
        standin.commands["guest-event-subscribe"] = subscribe
        monkeypatch.undo()
        while not isinstance(await anext(stream), guestmux.Reconnected):
            pass
    assert disconnected == guestmux.Disconnected("the guest stopped answering")
    keeper.cancel()
    await asyncio.wait([keeper])


async def test_without_reconnect_a_stream_ends_with_an_error(standin: StandInGuest) -> None:
    async with guestmux.connect(standin.address, reconnect=False) as guest, guest.events() as stream:
        standin.emit("SESSION_LOCK")
        standin.hang_up()
        assert names(await take(stream, 2)) == ["SESSION_LOCK", "Disconnected"]
        with pytest.raises(guestmux.ConnectionLost):
            await anext(stream)


async def test_a_guest_that_comes_back_without_events(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events() as stream:
        del standin.commands["guest-event-subscribe"]
        standin.hang_up()
        assert names(await take(stream, 1)) == ["Disconnected"]
        with pytest.raises(guestmux.CommandNotFound):
            await anext(stream)


async def test_a_slow_consumer_is_told(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events(max_events=10) as stream:
        for _ in range(1000):
            standin.emit("X")
        # In order, so the flood is here when the ping is.
        await guest.ping()
        items = await take(stream, 11)
        standin.emit("Y")
        items += await take(stream, 1)
    assert names(items) == ["X"] * 10 + ["Gap", "Y"]
    assert items[10] == guestmux.Gap(11, 1000, SLOW_CONSUMER, 990)


async def test_a_flood_delays_no_call(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events(max_events=10):
        for _ in range(20_000):
            standin.emit("X", padding="x" * 100)
        await guest.ping(timeout=10)


async def test_closing_ends_the_iteration(guest: guestmux.Guest) -> None:
    async with guest.events() as stream:
        await stream.aclose()
        assert [item async for item in stream] == []


async def test_closing_wakes_the_consumer(guest: guestmux.Guest) -> None:
    stream = guest.events()
    await stream.begin()
    async with asyncio.TaskGroup() as tasks:
        consumer = tasks.create_task(_collect(stream))
        await anyio.lowlevel.checkpoint()
        await stream.aclose()
    assert consumer.result() == []


async def _collect(stream: guestmux.EventStream) -> list[guestmux.Item]:
    return [item async for item in stream]


async def test_the_last_consumer_to_go_unsubscribes(guest: guestmux.Guest, standin: StandInGuest) -> None:
    stream = guest.events()
    await stream.begin()
    del stream
    gc.collect()
    standin.emit("X")
    await standin.until(lambda: not standin.subscribed)


async def test_begins_again_when_the_connection_ends_meanwhile(
    guest: guestmux.Guest, standin: StandInGuest
) -> None:
    subscribe = standin.commands["guest-event-subscribe"]
    standin.commands["guest-event-subscribe"] = lambda _: SILENCE
    async with asyncio.TaskGroup() as tasks:
        begin = tasks.create_task(guest.events().begin())
        await standin.until_asked("guest-event-subscribe")
        standin.commands["guest-event-subscribe"] = subscribe
        standin.hang_up()
    assert begin.result().sessions == []


async def test_waits_for_a_session(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async def log_in() -> None:
        await standin.until_asked("guest-event-subscribe")
        standin.emit("SESSION_LOGIN", session="c1")
        await standin.until_asked("guest-get-sessions")
        standin.sessions = [session("c2", active=True)]
        standin.emit("SESSION_LOGIN", session="c2")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(log_in())
        found = await guest.wait_session("user:alice", timeout=10)
    assert found.session == "c2"
    assert (await guest.wait_session()).session == "c2"
    with pytest.raises(guestmux.CallTimeout, match="'c9' did not come"):
        await guest.wait_session("c9", timeout=0.01)


async def test_waits_for_an_agent(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.sessions = [session("c2")]

    async def register() -> None:
        await standin.until_asked("guest-event-subscribe")
        standin.sessions = [session("c2", agents=[{"name": "stock", "version": "1"}])]
        standin.emit("AGENT_REGISTERED", session="c2")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(register())
        assert (await guest.wait_agent("c2", timeout=10)).name == "stock"
    with pytest.raises(guestmux.CallTimeout, match="agent 'other'"):
        await guest.wait_agent("c2", "other", timeout=0.01)


async def test_a_refusal_of_the_guest_ends_the_wait(guest: guestmux.Guest, standin: StandInGuest) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("no")

    standin.commands["guest-event-subscribe"] = refuse
    with pytest.raises(guestmux.CommandFailed):
        await guest.wait_session(timeout=10)
