"""Streams with wishes of their own: a named subscription each, late events, beacons, and a window."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import guestmux
from tests.support.standin_guest import Refused, StandInGuest
from tests.support.streams import names, take

pytestmark = pytest.mark.anyio

CONCURRENT = pytest.mark.parametrize("dialect", ["mux", "qmp"])
"""Where the guest says that it restarted."""

SUBSCRIBE = "guest-event-subscribe"


async def test_has_a_subscription_of_its_own(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with (
        guest.events("SESSION_*") as plain,
        guest.events("*", sessions=["c2"], users={"alice"}, window=8) as chosen,
    ):
        assert standin.subscriptions == {
            "": {"events": ["SESSION_*"]},
            "1": {"subscription": "1", "events": ["*"], "sessions": ["c2"], "users": ["alice"], "window": 8},
        }
        standin.emit("SESSION_LOCK", session="c2")
        [event], [same] = await take(plain, 1), await take(chosen, 1)
    assert isinstance(same, guestmux.Event)
    assert same == event
    assert "subscription" not in same.data


async def test_what_the_others_hear_is_not_its_own(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """By the unnamed subscription an event came that is not yet due by the other."""
    async with guest.events() as plain, guest.events(sessions=["c2"]) as chosen:
        standin.emit_withheld("FIRST")
        standin.emit_withheld("SECOND")
        standin.send_event(standin.journal[1])
        for event in standin.journal:
            standin.send_event(event, "1")
        assert names(await take(plain, 1)) == ["SECOND"]
        assert names(await take(chosen, 2)) == ["FIRST", "SECOND"]


@pytest.mark.parametrize("end", ["close", "drop"])
async def test_its_subscription_ends_with_it(guest: guestmux.Guest, standin: StandInGuest, end: str) -> None:
    stream = guest.events(rate={"X": 1})
    await stream.begin()
    assert list(standin.subscriptions) == ["1"]
    if end == "close":
        await stream.aclose()
    else:
        del stream
        gc.collect()
        standin.emit("X")
    await standin.until(lambda: not standin.subscribed)
    assert standin.requests["guest-event-unsubscribe"][0].arguments == {"subscription": "1"}


async def test_a_stream_that_was_dropped_takes_no_place(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """The guest allows only so many, and with a full window no event tells that nobody wants them."""
    await guest.events(window=1).begin()
    gc.collect()
    await guest.events(window=1).begin()
    assert list(standin.subscriptions) == ["2"]


@CONCURRENT
async def test_each_goes_on_where_it_was(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events("A") as plain, guest.events("B", beacon=5) as chosen:
        standin.emit("A")
        standin.emit("B")
        [_], [_] = await take(plain, 1), await take(chosen, 1)
        standin.restart_run()
        standin.emit_withheld("A")
        standin.emit_withheld("B")
        for stream, name in ((plain, "A"), (chosen, "B")):
            assert names(await take(stream, 3)) == ["Disconnected", "Reconnected", name]
    assert standin.requests[SUBSCRIBE][-1].arguments["since"] == {"epoch": "epoch-1", "seq": 2}


@pytest.mark.parametrize(
    "wish",
    [{"beacon": 0}, {"window": 0}, {"window": 1 << 20}, {"sessions": ["c"] * 300}, {"rate": {"X": "y"}}],
)
async def test_what_cannot_be(guest: guestmux.Guest, wish: dict[str, Any]) -> None:
    with pytest.raises(guestmux.SelectionError):
        guest.events(**wish)
    with pytest.raises(guestmux.PatternError):
        guest.events(rate={"a b": 1})


class TestAnOlderGuest:
    @pytest.fixture(autouse=True)
    def older(self, standin: StandInGuest) -> None:
        standin.can_name = False

    @pytest.mark.parametrize(
        ("wish", "lacks"),
        [
            ({"beacon": 5}, "beacon"),
            ({"users": ["a"], "rate": {"X": 1}}, "users, rate"),
            ({"window": 3}, "window"),
        ],
    )
    async def test_names_what_it_lacks(
        self, guest: guestmux.Guest, standin: StandInGuest, wish: dict[str, Any], lacks: str
    ) -> None:
        with pytest.raises(guestmux.GuestTooOld, match=f"too old for events with {lacks}: .*subscription"):
            await guest.events(**wish).begin()
        async with guest.events() as stream:
            standin.emit("X")
            assert names(await take(stream, 1)) == ["X"]

    async def test_positions_share_the_one_subscription(
        self, guest: guestmux.Guest, standin: StandInGuest
    ) -> None:
        for name in ("A", "B", "C"):
            standin.emit(name)

        def after(seq: int) -> guestmux.Position:
            return guestmux.Position(epoch="epoch-1", seq=seq)

        async with guest.events(since=after(2)) as first, guest.events(since=after(1)) as second:
            assert names(await take(first, 1)) == ["C"]
            assert names(await take(second, 2)) == ["B", "C"]
            standin.emit("D")
            assert names(await take(first, 1)) == names(await take(second, 1)) == ["D"]
        assert list(standin.subscriptions) == [""]


async def test_positions_have_a_subscription_each(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """So that nobody hears of another's loss."""
    standin.emit("A")
    async with guest.events() as first, guest.events(since=guestmux.Position(epoch="x", seq=9)) as second:
        assert names(await take(second, 2)) == ["Gap", "A"]
        standin.emit("B")
        assert names(await take(first, 1)) == ["B"]


@CONCURRENT
async def test_streams_at_different_places_part(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """Else the guest would tell only one of them that it does not know its place."""
    async with guest.events("A") as first:
        standin.emit_withheld("A")
        # It begins behind what the first has not got yet.
        standin.commands[SUBSCRIBE], subscribe = withhold(standin), standin.commands[SUBSCRIBE]
        async with guest.events("A") as second:
            standin.commands[SUBSCRIBE] = subscribe
            standin.restart_run()
            standin.emit_withheld("A")
            assert names(await take(first, 4)) == ["Disconnected", "Reconnected", "A", "A"]
            assert names(await take(second, 3)) == ["Disconnected", "Reconnected", "A"]
            places = {name: asked["since"]["seq"] for name, asked in standin.subscriptions.items()}
            assert places == {"": 0, "1": 1}


def withhold(standin: StandInGuest) -> Any:
    """Answer a subscription, and send nothing by it."""
    latest = {"epoch": standin.epoch, "seq": len(standin.journal), "snapshot": {"sessions": []}}

    def answer(arguments: dict[str, Any]) -> Any:
        del arguments["since"]
        return latest

    return answer


async def test_a_refusal_is_no_sign_of_age(guest: guestmux.Guest, standin: StandInGuest) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("SESSION_LOCK is kept every one, and has no rate")

    standin.commands[SUBSCRIBE] = refuse
    with pytest.raises(guestmux.CommandFailed, match="no rate"):
        await guest.events(rate={"SESSION_LOCK": 1}).begin()


class TestLate:
    async def test_comes_behind_others_and_once(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        async with guest.events(rate={"X": 1}) as stream:
            late = standin.emit_withheld("X", session="c2")
            standin.emit("Y")
            for _ in range(2):
                send_late(standin, late, session="c2")
            send_late(standin, late, session="c3")
            standin.emit("Z")
            items = await take(stream, 4)
            assert stream.position == guestmux.Position(epoch="epoch-1", seq=3)
        assert names(items) == ["Y", "X", "X", "Z"]
        assert isinstance(items[1], guestmux.Event)
        assert items[1].data["late"]

    async def test_does_not_move_the_position(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        async with guest.events(rate={"X": 1}) as stream:
            standin.emit("Y")
            send_late(standin, 5)
            await take(stream, 2)
            assert stream.reached == stream.position == guestmux.Position(epoch="epoch-1", seq=1)

    @CONCURRENT
    async def test_a_repeat_after_a_reconnection(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        """The guest repeats the last of each kind, and sends what was late once more as if it were not."""
        async with guest.events(rate={"X": 1}) as stream:
            standin.emit("X")
            late = standin.emit_withheld("X")
            send_late(standin, late)
            standin.restart_run()
            assert names(await take(stream, 4)) == ["X", "X", "Disconnected", "Reconnected"]
            send_late(standin, 1)
            send_late(standin, late)
            standin.emit("Y")
            assert names(await take(stream, 1)) == ["Y"]

    async def test_a_claim_of_no_weight(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        async with guest.events() as stream:
            standin.emit("X", late=True)
            await take(stream, 1)
            assert stream.position == guestmux.Position(epoch="epoch-1", seq=1)


def send_late(standin: StandInGuest, seq: int, **data: Any) -> None:
    (name,) = standin.subscriptions
    head = {"late": True, "epoch": "epoch-1", "seq": seq}
    standin.send_event(standin.event("X", {**head, **data}), name)


async def test_beacons(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events("X", beacon=0.5) as stream, guest.events() as other:
        data = {"epoch": "epoch-1", "seq": 7, "source": "verified", "agents": 2, "dropped": 4}
        for more in ({"journal": "full", "frozen": True}, {"journal": 17}):
            standin.send_event(standin.event("BEACON", {**data, **more}), "1")
            standin.send_event(standin.event("BEACON", {**data, **more}))
        first, second = await take(stream, 2)
        assert stream.position == guestmux.Position(epoch="epoch-1", seq=7), "all before was sent"
        standin.journal = [standin.event("Y", {})] * 8
        standin.emit("Z")
        assert names(await take(other, 1)) == ["Z"]
    assert first == guestmux.Beacon("epoch-1", 7, 2, 4, "full", True)
    assert second == guestmux.Beacon("epoch-1", 7), "what nobody understands says nothing"


class TestWindow:
    async def test_is_acknowledged_as_the_consumer_goes_on(
        self, guest: guestmux.Guest, standin: StandInGuest
    ) -> None:
        async with guest.events(window=4) as stream:
            for _ in range(4):
                standin.emit("X")
            await take(stream, 3)
            ack = await standin.until_asked("guest-event-ack")
            assert ack.arguments == {"seq": 2, "subscription": "1"}, "the third is not done with"
            await take(stream, 1)
            standin.emit("Y")
            await take(stream, 1)
            acks = [ack.arguments["seq"] for ack in standin.requests["guest-event-ack"]]
            await standin.until_asked("guest-event-ack", 2)
        assert sorted(acks) == acks
        assert standin.requests["guest-event-ack"][-1].arguments["seq"] == 4

    async def test_a_slow_consumer_acknowledges_nothing(
        self, guest: guestmux.Guest, standin: StandInGuest
    ) -> None:
        async with guest.events(window=2) as stream:
            standin.emit("X")
            standin.emit("X")
            await take(stream, 1)
            await guest.ping()
            assert not standin.requests["guest-event-ack"]
            await stream.commit()
            ack = await standin.until_asked("guest-event-ack")
        assert ack.arguments["seq"] == 1

    @CONCURRENT
    async def test_counts_anew_after_a_reconnection(
        self, guest: guestmux.Guest, standin: StandInGuest
    ) -> None:
        async with guest.events(window=1) as stream:
            standin.emit("X")
            await take(stream, 1)
            await stream.commit()
            await standin.until_asked("guest-event-ack")
            standin.restart_run()
            assert names(await take(stream, 2)) == ["Disconnected", "Reconnected"]
            standin.emit("Y")
            await take(stream, 1)
            await stream.commit()
            ack = await standin.until_asked("guest-event-ack", 2)
        assert ack.arguments["seq"] == 2

    async def test_a_guest_that_knows_no_acknowledgement(
        self, guest: guestmux.Guest, standin: StandInGuest
    ) -> None:
        del standin.commands["guest-event-ack"]
        async with guest.events(window=1) as stream:
            for _ in range(2):
                standin.emit("X")
                await take(stream, 1)
                await stream.commit()
                await standin.until_asked("guest-event-ack")


class TestGaps:
    async def test_name_what_may_be_lost(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        async with guest.events("APP_*", "SESSION_*") as both, guest.events("SESSION_*") as sessions:
            standin.lose(1, 9, "restart", stands=0, names=["APP_*"])
            standin.journal = [standin.event("Y", {})] * 9
            standin.emit("SESSION_LOCK")
            assert await take(both, 1) == [guestmux.Gap(1, 9, "restart", names=("APP_*",))]
            assert names(await take(sessions, 1)) == names(await take(both, 1)) == ["SESSION_LOCK"]

    async def test_the_rest_follows(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        """Of the lost numbers those events come that are on disk."""
        async with guest.events("APP_*", "SESSION_*") as stream:
            standin.lose(1, 9, "restart", stands=0, names=["APP_*"])
            standin.emit("SESSION_LOCK")
            gap, event = await take(stream, 2)
            assert stream.position == guestmux.Position(epoch="epoch-1", seq=1)
        assert names([gap, event]) == ["Gap", "SESSION_LOCK"]

    async def test_numbers_may_begin_anew(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        async with guest.events() as stream:
            for _ in range(5):
                standin.emit("X")
            await take(stream, 5)
            del standin.journal[2:]
            standin.epoch += "'"
            standin.lose(0, 2, "rolled-back")
            standin.emit("Y")
            gap, event = await take(stream, 2)
            assert stream.position == guestmux.Position(epoch="epoch-1'", seq=3)
        assert gap == guestmux.Gap(0, 2, "rolled-back")
        assert names([event]) == ["Y"]

    @CONCURRENT
    async def test_what_nobody_told_is_told(self, guest: guestmux.Guest, standin: StandInGuest) -> None:
        """A run that goes on with numbers that the stream has of an earlier one."""
        async with guest.events() as stream:
            for _ in range(5):
                standin.emit("X")
            await take(stream, 5)
            standin.commands[SUBSCRIBE] = lambda _: {
                "epoch": "epoch-1+",
                "seq": 2,
                "snapshot": {"sessions": []},
            }
            standin.restart_run()
            assert names(await take(stream, 2)) == ["Disconnected", "Reconnected"]
            for seq in (3, 4):
                standin.send_event(standin.event("Y", {"epoch": "epoch-1+", "seq": seq}))
            assert await take(stream, 1) == [guestmux.Gap(0, 2, "rolled-back")]
            assert stream.position == guestmux.Position(epoch="epoch-1+", seq=2)
            assert names(await take(stream, 2)) == ["Y", "Y"]
