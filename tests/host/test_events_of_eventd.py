"""Streams of a real eventd with its journal on disk: restarts, kills, filters, beacons and windows."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import guestmux
from guestmux.cli import exits
from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.eventd import Eventd, running_eventd
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.streams import names, take
from tests.support.whole_guest import run_guestmux

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ALIVE = ("SESSION_LOCK", "SESSION_UNLOCK")


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        yield logind


@pytest.fixture
async def session(logind: StandinLogind) -> str:
    return await logind.control.login("alice", os.getuid())


@pytest.fixture
def eventd(bus: PrivateBus, logind: StandinLogind, session: str, tmp_path: Path) -> Iterator[Eventd]:
    journal = tmp_path / "journal"
    journal.mkdir(mode=0o700)
    config = tmp_path / "eventd.toml"
    config.write_text(f'journal-directory = "{journal}"\n')
    with running_eventd(bus.address, "--config", str(config)) as eventd:
        yield eventd


@pytest.fixture(params=["mux", "qmp", "qga"])
async def guest(request: pytest.FixtureRequest, eventd: Eventd) -> AsyncIterator[guestmux.Guest]:
    port = eventd.qga if request.param == "qga" else eventd.qmp
    async with guestmux.connect(f"unix:{port}", mux=request.param == "mux") as guest:
        assert guest.dialect == request.param
        yield guest


async def lock_and_unlock(logind: StandinLogind, session: str) -> None:
    for locked in (True, False):
        await logind.control.set_locked(session, locked=locked)


def restart(eventd: Eventd, how: signal.Signals = signal.SIGTERM) -> None:
    eventd.stop(how)
    eventd.start()


async def until_back(stream: guestmux.EventStream) -> list[guestmux.Item]:
    """What came up to the reconnection."""
    items: list[guestmux.Item] = []
    while not items or not isinstance(items[-1], guestmux.Reconnected):
        items.append(await anext(stream))
    return items


def positions(items: list[guestmux.Item]) -> list[tuple[str, int]]:
    return [(item.epoch, item.seq or 0) for item in items if isinstance(item, guestmux.Event)]


async def test_nothing_is_lost_by_a_restart(
    guest: guestmux.Guest, eventd: Eventd, logind: StandinLogind, session: str, tmp_path: Path
) -> None:
    async with guest.events("SESSION_*LOCK", durable=tmp_path / "cursor") as stream:
        for _ in range(2):
            before = stream.position
            await lock_and_unlock(logind, session)
            assert names(await take(stream, 2)) == list(ALIVE)
            await asyncio.to_thread(restart, eventd)
            assert names(await until_back(stream)) == ["Disconnected", "Reconnected"]
            await lock_and_unlock(logind, session)
            events = await take(stream, 2)
            assert names(events) == list(ALIVE)
            assert before
            assert stream.position
            assert stream.position.epoch != before.epoch
            assert stream.position.seq > before.seq


async def test_what_is_told_twice_ends_a_run(
    guest: guestmux.Guest, logind: StandinLogind, session: str
) -> None:
    """As if eventd's memory had been set back, and it had sent an event before that."""
    async with guest.events("SESSION_*LOCK") as stream:
        await lock_and_unlock(logind, session)
        before = await take(stream, 2)
        assert stream.position
        run, last = stream.position.epoch, stream.position.seq
        gone = guestmux.Event("SESSION_LOCK", {"epoch": run, "seq": last + 50, "source": "verified"})
        guest._hub.dispatch([(gone, 100)])
        assert await take(stream, 1) == [gone]
        await lock_and_unlock(logind, session)
        gap, *told = await until_back(stream)
        assert isinstance(gap, guestmux.Gap)
        assert gap.reason == "rolled-back"
        assert names(told) == ["Disconnected", "Reconnected"]
        again = await take(stream, 2)
        assert names(before) == names(again) == list(ALIVE)
        assert positions(again)[0] == (run, gap.last + 1)
        await lock_and_unlock(logind, session)
        later = await take(stream, 2)
        assert names(later) == list(ALIVE)
        [(present, first), _] = positions(later)
        assert present != run, "no position is given out twice any more"
        assert first < last + 50


async def test_a_consumer_that_was_away(
    guest: guestmux.Guest, eventd: Eventd, logind: StandinLogind, session: str, tmp_path: Path
) -> None:
    """Two runs of eventd go by, and each event is told in the run that it was of."""
    cursor = tmp_path / "cursor"
    async with guest.events("SESSION_LOCK", durable=cursor):
        pass
    watcher = guest.events("SESSION_UNLOCK")
    for _ in range(2):
        async with guest.events("SESSION_UNLOCK") as seen:
            await lock_and_unlock(logind, session)
            await take(seen, 1)
        await asyncio.to_thread(restart, eventd)
        await watcher.begin()
    async with guest.events("SESSION_LOCK", durable=cursor) as stream:
        first, second = await take(stream, 2)
        assert isinstance(first, guestmux.Event)
        assert isinstance(second, guestmux.Event)
        assert first.epoch != second.epoch
        assert names([first, second]) == ["SESSION_LOCK"] * 2


async def test_a_killed_eventd(
    guest: guestmux.Guest, eventd: Eventd, logind: StandinLogind, session: str, tmp_path: Path
) -> None:
    """What it had no time to store is in a gap, whose numbers are told."""
    async with guest.events("SESSION_*LOCK", durable=tmp_path / "cursor") as stream:
        await lock_and_unlock(logind, session)
        await take(stream, 2)
        reached = stream.reached
        await asyncio.to_thread(restart, eventd, signal.SIGKILL)
        assert names(await until_back(stream)) == ["Disconnected", "Reconnected"]
        await lock_and_unlock(logind, session)
        items = await take(stream, 2)
        if isinstance(items[0], guestmux.Gap):
            assert reached
            assert (items[0].reason, items[0].first) == ("crash", reached.seq + 1)
            items = [*items[1:], *await take(stream, 1)]
        assert names(items) == list(ALIVE)


async def test_of_one_session(guest: guestmux.Guest, logind: StandinLogind, session: str) -> None:
    other = await logind.control.login("bob", 1001)
    async with (
        guest.events("SESSION_LOCK", sessions=[other]) as by_session,
        guest.events("SESSION_LOCK", users=["alice"]) as by_user,
        guest.events("SESSION_LOCK") as all_of_them,
    ):
        for locked in (other, session, other):
            await logind.control.set_locked(locked, locked=True)
            await logind.control.set_locked(locked, locked=False)
        assert sessions(await take(all_of_them, 3)) == [other, session, other]
        assert sessions(await take(by_session, 2)) == [other, other]
        assert sessions(await take(by_user, 1)) == [session]


def sessions(items: list[guestmux.Item]) -> list[str]:
    assert all(isinstance(item, guestmux.Event) and "subscription" not in item.data for item in items)
    return [item.data["session"] for item in items if isinstance(item, guestmux.Event)]


async def test_beacons(guest: guestmux.Guest, logind: StandinLogind, session: str) -> None:
    async with guest.events("SESSION_LOCK", beacon=0.2) as stream:
        [beacon] = await take(stream, 1)
        assert isinstance(beacon, guestmux.Beacon)
        assert (beacon.journal, beacon.frozen, beacon.dropped) == ("ok", False, 0)
        await lock_and_unlock(logind, session)
        while not isinstance(await anext(stream), guestmux.Event):
            pass
        while stream.position != guestmux.Position(epoch=beacon.epoch, seq=beacon.seq + 2):
            assert isinstance(await anext(stream), guestmux.Beacon)


async def test_a_window_of_one(guest: guestmux.Guest, logind: StandinLogind, session: str) -> None:
    """The guest waits until the consumer is done with each."""
    async with guest.events("SESSION_*LOCK", window=1) as stream:
        for _ in range(3):
            await lock_and_unlock(logind, session)
        for expected in 3 * ALIVE:
            [event] = await take(stream, 1)
            await guest.ping()
            assert names([event]) == [expected]
            assert len(stream._queue) == 0, "nothing came ahead"


async def test_more_streams_than_the_guest_allows(guest: guestmux.Guest) -> None:
    streams = [guest.events(window=1) for _ in range(17)]
    for stream in streams[:16]:
        await stream.begin()
    with pytest.raises(guestmux.CommandFailed, match="16 subscriptions"):
        await streams[16].begin()
    await streams[0].aclose()
    await streams[16].begin()


async def test_the_command_line(eventd: Eventd, logind: StandinLogind, session: str, tmp_path: Path) -> None:
    """What came since the last run, and no more."""

    async def shown() -> tuple[int, list[str]]:
        options = ("events", "SESSION_*LOCK", "--cursor", tmp_path / "cursor", "--no-follow")
        status, out, err = await run_guestmux(f"unix:{eventd.qmp}", *options)
        assert err.startswith(b"events received: ")
        return status, [line.split()[0] for line in out.decode().splitlines()]

    assert await shown() == (exits.OK, [])
    for _ in range(2):
        await lock_and_unlock(logind, session)
        await asyncio.to_thread(restart, eventd)
        await lock_and_unlock(logind, session)
        assert await shown() == (exits.OK, 2 * list(ALIVE))
    assert await shown() == (exits.OK, [])
