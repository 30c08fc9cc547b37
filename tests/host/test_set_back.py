"""A guest whose memory is set back while the host stays connected: it gives out numbers a second time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import guestmux
from guestmux.guest import Guest
from guestmux.subscriber import NEVER
from guestmux_protocol.addresses import parse_dial_address
from tests.support.standin_guest import SILENCE, StandInGuest, session
from tests.support.streams import names, take

pytestmark = pytest.mark.anyio

QMP_ONLY = pytest.mark.parametrize("dialect", ["qmp"])
MUX_ONLY = pytest.mark.parametrize("dialect", ["mux"])

SUBSCRIBE = "guest-event-subscribe"
GONE_ON = ["Disconnected", "Reconnected"]


@pytest.fixture
def standin(standin: StandInGuest) -> StandInGuest:
    standin.begins_runs = True
    return standin


async def seen(stream: guestmux.EventStream, standin: StandInGuest, *events: str) -> None:
    for name in events:
        standin.emit(name)
    assert names(await take(stream, len(events))) == [*events]


def numbers(items: list[guestmux.Item]) -> list[tuple[str, int | None]]:
    return [(item.epoch, item.seq) for item in items if isinstance(item, guestmux.Event)]


async def test_what_has_numbers_of_before_is_told(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events() as stream:
        await seen(stream, standin, "A", "B", "C")
        standin.set_back(1)
        standin.sessions = [session("c7")]
        standin.emit("D")
        standin.emit("E")
        gap, *rest = await take(stream, 5)
        assert gap == guestmux.Gap(0, 1, "rolled-back")
        assert names(rest) == [*GONE_ON, "D", "E"]
        assert isinstance(rest[0], guestmux.Disconnected)
        assert rest[0].reason == "the guest's memory was set back under the connection"
        assert isinstance(rest[1], guestmux.Reconnected)
        assert [found.session for found in rest[1].snapshot.sessions] == ["c7"]
        standin.emit("F")
        rest += await take(stream, 1)
    assert numbers(rest) == [("epoch-1", 2), ("epoch-1", 3), ("epoch-1+", 4)], "a run was begun"


async def test_the_first_number_of_all(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events() as stream:
        await seen(stream, standin, "A", "B")
        standin.set_back(0)
        standin.emit("C")
        items = await take(stream, 4)
    assert items[0] == guestmux.Gap(0, 0, "rolled-back")
    assert names(items[1:]) == [*GONE_ON, "C"]


async def test_a_guest_that_begins_no_run(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """Many hosts told it too often that it was set back, or it is an older one."""
    standin.begins_runs = False
    async with guest.events() as stream:
        await seen(stream, standin, "A", "B", "C")
        standin.set_back(1)
        standin.emit("D")
        assert names(await take(stream, 4)) == ["Gap", *GONE_ON, "D"]
        standin.emit("E")
        items = await take(stream, 1)
    assert numbers(items) == [("epoch-1", 3)]


async def test_every_stream_is_told(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """Of what another one asked for the guest may know nothing any more."""
    async with guest.events("A") as first, guest.events("B", window=8) as second:
        await seen(second, standin, "B")
        await seen(first, standin, "A")
        standin.set_back(0)
        del standin.subscriptions["1"]
        for name in ("B", "A", "B"):
            standin.emit(name)
        assert names(await take(first, 4)) == ["Gap", *GONE_ON, "A"]
        gap, *rest = await take(second, 4)
    assert gap == guestmux.Gap(0, 1, "rolled-back")
    assert names(rest) == [*GONE_ON, "B"]
    assert numbers(rest) == [("epoch-1", 3)]


async def test_a_stream_that_was_not_so_far(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """What it did not hear yet it is sent."""
    async with guest.events("A") as first, guest.events("B", window=8) as second:
        await seen(second, standin, "B")
        await seen(first, standin, "A", "A")
        standin.set_back(1)
        standin.emit_withheld("B")
        standin.emit("A")
        assert names(await take(first, 4)) == ["Gap", *GONE_ON, "A"]
        gap, *rest = await take(second, 4)
    assert gap == guestmux.Gap(0, 1, "rolled-back")
    assert names(rest) == [*GONE_ON, "B"]
    assert numbers(rest) == [("epoch-1", 2)]


async def test_what_is_under_way_fails_at_once(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["guest-get-users"] = lambda _: SILENCE
    async with guest.events() as stream:
        await seen(stream, standin, "A")
        asked = asyncio.create_task(guest.users())
        await standin.until_asked("guest-get-users")
        standin.set_back(0)
        standin.emit("B")
        with pytest.raises(
            guestmux.ConnectionLost, match=r"set back .*; the command may or may not have run"
        ):
            await asked
        await guest.ping()


async def test_a_position_on_disk(guest: guestmux.Guest, standin: StandInGuest, tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    async with guest.events(durable=path) as stream:
        await seen(stream, standin, "A", "B", "C")
        standin.set_back(1)
        standin.emit("D")
        await take(stream, 2)
        assert names(await take(stream, 2)) == ["Reconnected", "D"]
        await stream.commit()
        assert json.loads(path.read_text()) == {"epoch": "epoch-1", "seq": 2}
    standin.emit("E")
    async with guest.events(durable=path) as stream:
        assert names(await take(stream, 1)) == ["E"]


async def test_a_position_on_disk_of_a_consumer_that_was_killed(
    guest: guestmux.Guest, standin: StandInGuest, tmp_path: Path
) -> None:
    path = tmp_path / "cursor"
    async with guest.events(durable=path) as stream:
        await seen(stream, standin, "A", "B", "C")
        await stream.commit()
    standin.set_back(1)
    standin.emit("D")
    async with guest.events(durable=path) as stream:
        assert await take(stream, 1) == [guestmux.Gap(0, 2, "rolled-back")]
        standin.emit("E")
        assert numbers(await take(stream, 1)) == [("epoch-1+", 3)]


async def test_a_beacon_tells_it(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events("*", beacon=60) as stream:
        await seen(stream, standin, "A", "B")
        at = {"epoch": "epoch-1", "source": "verified", "agents": 0, "dropped": 0, "journal": "ok"}
        standin.send_event(standin.event("BEACON", {**at, "seq": 2}), "1")
        assert names(await take(stream, 1)) == ["Beacon"]
        standin.set_back(1)
        standin.send_event(standin.event("BEACON", {**at, "seq": 1}), "1")
        items = await take(stream, 3)
    assert items[0] == guestmux.Gap(0, 1, "rolled-back")
    assert names(items[1:]) == GONE_ON


async def test_a_loss_tells_it(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events() as stream:
        await seen(stream, standin, "A", "B", "C", "D")
        standin.set_back(3)
        standin.lose(2, 3, "slow-reader")
        items = await take(stream, 3)
    assert items[0] == guestmux.Gap(0, 1, "rolled-back")
    assert names(items[1:]) == GONE_ON, "and the guest is asked from there"
    assert standin.requests[SUBSCRIBE][-1].arguments["since"] == {"epoch": "epoch-1", "seq": 1}


async def test_late_events_do_not(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events(rate={"A": 1}) as stream:
        await seen(stream, standin, "B", "C")
        late = standin.event("A", {"late": True, "epoch": "epoch-1", "seq": 1})
        standin.send_event(late, "1")
        assert names(await take(stream, 1)) == ["A"]
        await seen(stream, standin, "D")


async def test_a_stream_ends_with_its_only_connection(standin: StandInGuest) -> None:
    async with guestmux.connect(standin.address, reconnect=False) as guest, guest.events() as stream:
        await seen(stream, standin, "A")
        standin.set_back(0)
        standin.emit("B")
        assert names(await take(stream, 2)) == ["Gap", "Disconnected"]
        with pytest.raises(guestmux.ConnectionLost, match="set back"):
            await anext(stream)


async def test_a_subscription_that_the_guest_knows_nothing_of(standin: StandInGuest) -> None:
    """Others talk to the guest meanwhile: it answers, and that is no sign that it has nothing to tell."""
    guest = Guest(parse_dial_address(standin.address), renew_after=0.01)
    await guest.open()
    keeper = asyncio.create_task(guest.keep())

    async def chat() -> None:
        while True:
            await guest.ping()

    async with guest.events() as stream:
        await seen(stream, standin, "A")
        standin.set_back(0)
        standin.subscriptions.clear()
        chatter = asyncio.create_task(chat())
        gap = await anext(stream)
        while not isinstance(gap, guestmux.Gap):
            gap = await anext(stream)
        chatter.cancel()
    assert gap == guestmux.Gap(0, 0, "rolled-back")
    keeper.cancel()
    await asyncio.wait([keeper, chatter])


@QMP_ONLY
async def test_a_line_that_is_cut_off(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """It began before, and its end is the first event after."""
    async with guest.events() as stream:
        await seen(stream, standin, "A", "B")
        standin.set_back(1)
        standin.send(b'{"event": "SESSION_LO')
        for name in ("C", "D"):
            standin.emit(name)
        items = await take(stream, 4)
    assert names(items) == ["D", "Disconnected", "Gap", "Reconnected"]
    assert items[1] == guestmux.Disconnected("what the guest said was cut off")
    assert items[2] == guestmux.Gap(0, 3, "rolled-back"), "C is of it"


@MUX_ONLY
async def test_a_frame_that_is_cut_off(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events() as stream:
        await seen(stream, standin, "A", "B")
        assert standin.mux
        standin.set_back(1)
        standin.send(b'\x95\x05\x03\xa1X\xc4\xff{"epoch"')
        for name in ("C", "D", "E", "F"):
            standin.emit(name)
        items = await take(stream, 6)
    assert names(items) == ["Disconnected", "Gap", "Reconnected", "D", "E", "F"]
    assert items[1] == guestmux.Gap(0, 2, "rolled-back"), "C is of it"


@MUX_ONLY
async def test_a_frame_of_two(guest: guestmux.Guest, standin: StandInGuest) -> None:
    """Its end is of another one, so that it has the right length."""
    async with guest.events() as stream:
        await seen(stream, standin, "A", "B")
        standin.set_back(1)
        standin.emit_withheld("C")
        text = b'{"epoch": "epoch-1", "seq": 3, "session": "c\x95\x05\x02"}'
        standin.send(b"\x95\x05\x03\xa1X\xc4" + bytes([len(text)]) + text + b"\x00")
        items = await take(stream, 3)
    assert names(items) == ["Disconnected", "Gap", "Reconnected"]
    assert items[1] == guestmux.Gap(0, 2, "rolled-back"), "C is of it"


@MUX_ONLY
async def test_a_frame_that_is_cut_off_by_a_restart(guest: guestmux.Guest, standin: StandInGuest) -> None:
    async with guest.events() as stream:
        await seen(stream, standin, "A", "B")
        standin.restart(b"\x95\x05\x03\xa1X\xc4\x10", new_epoch=True)
        items = await take(stream, 3)
    assert names(items) == ["Disconnected", "Reconnected", "Gap"]
    assert isinstance(items[2], guestmux.Gap)
    assert items[2].reason == "new-epoch"


def test_number() -> None:
    assert json.loads(json.dumps(NEVER)) == NEVER == int(float(NEVER))
