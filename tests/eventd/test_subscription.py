"""One subscription: what it is sent of what is in memory and on disk, and what it is told of the rest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_eventd import event_history
from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.store import JournalStore
from guestmux_eventd.journal.writer import RETRY_SECONDS
from guestmux_eventd.position import Since
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.subscription import BATCH_BYTES, Subscription
from guestmux_protocol.patterns import EventFilter
from tests.support.event_guests import EventGuest, Now
from tests.support.journals import opened, place

pytestmark = pytest.mark.anyio

LOGIN, FOCUSED = "SESSION_LOGIN", "APP_FOCUSED"


@asynccontextmanager
async def running(
    directory: Path | None, epoch: str = "e", now: Now | None = None, *, ring: int = 6
) -> AsyncIterator[EventGuest]:
    guest = EventGuest(directory, epoch, now, ring=ring)
    await guest.start()
    try:
        yield guest
    finally:
        await guest.end()


def reader(
    guest: EventGuest,
    *patterns: str,
    since: int | Since | None = None,
    now: Callable[[], float] = lambda: 0.0,
    **terms: Any,
) -> Subscription:
    """A subscription; `since` is a number of the present run."""
    position = Since(guest.log.epoch, since) if isinstance(since, int) else since
    wanted = Terms(EventFilter(patterns or ["*"]), **terms)
    return Subscription(guest.history, guest.feeds.state, wanted, position, now)


def plain(entry: Entry) -> Any:
    """A number, or what is said of the stream, without what is always the same."""
    data = json.loads(entry.data)
    if entry.name == "EVENTS_LOST":
        return data["from"], data["to"], data["reason"], data.get("names")
    return entry.name if entry.name == "BEACON" else entry.seq


async def heard(subscription: Subscription) -> list[Any]:
    """All that it has now."""
    taken: list[Any] = []
    while (entries := subscription.take()) or (subscription.is_behind and not subscription.is_full):
        taken += map(plain, entries)
        if not entries:
            await subscription.fetch()
    return taken


async def fill(guest: EventGuest, *names: str) -> None:
    for name in names:
        await guest.append(name)


# ---- what is on disk


async def test_what_memory_has_no_more_is_read_from_disk_and_the_rest_has_names(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, "SESSION_*", "APP_*")
        await fill(guest, LOGIN, FOCUSED, LOGIN, *[FOCUSED] * 7)
        assert subscription.is_behind
        assert await heard(subscription) == [(1, 4, "slow-reader", ["APP_*"]), 1, 3, 5, 6, 7, 8, 9, 10]


async def test_who_wants_only_what_is_stored_hears_of_no_loss(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, LOGIN)
        await fill(guest, LOGIN, FOCUSED, LOGIN, *[FOCUSED] * 7)
        assert await heard(subscription) == [1, 3]
        assert subscription.cursor == 10


async def test_a_restart_loses_only_what_is_not_stored(tmp_path: Path) -> None:
    async with running(tmp_path / "j", "a") as guest:
        await fill(guest, LOGIN, FOCUSED, LOGIN, FOCUSED)
    async with running(tmp_path / "j", "b") as guest:
        await guest.append(LOGIN)
        subscription = reader(guest, since=Since("a", 1))
        assert await heard(subscription) == [(2, 4, "restart", ["*"]), 3, 5]


async def test_what_a_crash_took_is_of_any_kind_also_where_the_disk_cannot_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is told that its events are lost up to where the crash is known to have taken nothing."""
    async with running(tmp_path / "j", "a") as guest:
        await fill(guest, LOGIN, FOCUSED)
        left = await guest.crash(tmp_path / "left")
    async with running(left, "b") as guest:
        subscription = reader(guest, "APP_*", since=Since("a", 0))
        monkeypatch.setattr(guest.journal, "read", cannot_read)
        end = guest.log.first - 1
        assert await heard(subscription) == [(1, 1, "restart", ["APP_*"]), (1, end, "not-stored", None)]


async def cannot_read(*_: object) -> list[Any]:
    raise JournalFault("io", "the disk")


async def test_a_disk_that_cannot_be_read_loses_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, "SESSION_*", "APP_*")
        await fill(guest, LOGIN, FOCUSED, LOGIN, *[FOCUSED] * 7)
        monkeypatch.setattr(guest.journal, "read", cannot_read)
        assert await heard(subscription) == [
            (1, 4, "slow-reader", ["APP_*"]),
            (1, 4, "not-stored", ["SESSION_*"]),
            *range(5, 11),
        ]


async def test_without_a_journal_all_is_lost_that_memory_has_no_more() -> None:
    async with running(None) as guest:
        subscription = reader(guest)
        await fill(guest, *[LOGIN] * 10)
        assert await heard(subscription) == [(1, 4, "slow-reader", None), *range(5, 11)]


async def test_while_file_systems_are_frozen_nothing_is_read_and_nothing_lost(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, LOGIN)
        await guest.freeze()
        await fill(guest, *[LOGIN] * 10)
        assert (subscription.is_behind, subscription.has_more, subscription.take()) == (True, False, [])
        await guest.thaw()
        assert subscription.has_more
        assert await heard(subscription) == list(range(1, 11))


async def test_what_was_begun_before_the_freeze_goes_on_after_the_thaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that the disk answers no more since it is frozen is no loss."""
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, LOGIN)
        await fill(guest, *[LOGIN] * 10)
        guest.stall()
        await subscription.fetch()
        assert subscription.take() == []
        monkeypatch.setattr(event_history, "READ_SECONDS", 0.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subscription.fetch)
            await anyio.wait_all_tasks_blocked()
            guest.gate.freezing()
            await anyio.wait_all_tasks_blocked()
            assert subscription.take() == []
            monkeypatch.setattr(event_history, "READ_SECONDS", 20.0)
            guest.gate.freeze_ended(0)
            await guest.go_on()
        assert await heard(subscription) == list(range(1, 11))


async def test_a_disk_that_does_not_answer_in_time_is_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, LOGIN)
        await fill(guest, *[LOGIN] * 10)
        guest.stall()
        monkeypatch.setattr(event_history, "READ_SECONDS", 0.0)
        assert await heard(subscription) == [(1, 4, "not-stored", None), *range(5, 11)]
        assert caplog.messages == ["the journal's disk does not answer; a host loses events up to 4"]


async def test_large_events_from_disk_are_sent_in_batches(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, LOGIN)
        for _ in range(20):
            await guest.append(LOGIN, text="x" * 10_000)
        while not (batch := subscription.take()):
            await subscription.fetch()
        assert sum(entry.size for entry in batch) < BATCH_BYTES + 11_000
        assert subscription.has_more
        assert not subscription.has(1)
        assert [*map(plain, batch), *await heard(subscription)] == list(range(1, 21))


async def test_a_position_beyond_the_present_begins_another_run(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        await fill(guest, FOCUSED, LOGIN)
        subscription = reader(guest, since=7)
        assert guest.log.epoch != "e"
        assert await heard(subscription) == [(0, 2, "rolled-back", None)]
        await fill(guest, LOGIN)
        assert await heard(subscription) == [3]
        other = reader(guest, since=Since("e", 1))
        assert await heard(other) == [2, 3]


async def test_a_host_cannot_have_runs_begun_without_end(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        for _ in range(4):
            reader(guest, since=7)
        with pytest.raises(CommandFailure, match="'since' is not in this journal, which ends at 0"):
            reader(guest, since=7)


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_numbers_that_the_journal_had_already_break_the_stream(tmp_path: Path, count: int) -> None:
    """It could not be read when the run began: what happened since has numbers of no history, and is lost."""
    async with running(tmp_path / "j", "a") as guest:
        await fill(guest, LOGIN, LOGIN)
    with opened(place(tmp_path / "j")):
        second = EventGuest(tmp_path / "j", "b")
        await second.start()
        subscription = reader(second, LOGIN)
        await fill(second, *[LOGIN] * count)
        assert await heard(subscription) == [*range(1, count + 1)]
        assert second.history.state == "locked"
    second.disk_time.time += RETRY_SECONDS
    # The attempt follows from the order alone.
    await second.settle()
    await second.settle()
    assert second.log.epoch not in {"a", "b"}
    first = max(3, 1 + count) + count
    assert (second.log.first, second.log.last, second.history.state) == (first, first - 1, "ok")
    assert subscription.has_more
    lost: list[Any] = [(first - count, first - 1, "not-stored", None)] if count else []
    assert await heard(subscription) == [(0, 0, "new-epoch", None), 1, 2, *lost]
    await fill(second, LOGIN)
    assert await heard(subscription) == [first]
    assert await heard(reader(second, LOGIN, since=Since("a", 2))) == [*lost, first]
    await second.end()


# ---- what a host asks for


async def test_events_of_a_named_subscription_have_its_name(tmp_path: Path) -> None:
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, since=Since("other", 9), name="a", beacon=1.0)
        await fill(guest, LOGIN)
        entries = [*subscription.take()]
        assert [entry.name for entry in entries] == ["EVENTS_LOST", "BEACON", LOGIN]
        assert all(entry.data.startswith(b'{"subscription": "a", ') for entry in entries)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"sessions": frozenset({"1"})}, [1, 3, 4]),
        ({"users": frozenset({"alice"})}, [1, 2, 4]),
        ({"sessions": frozenset({"1"}), "users": frozenset({"alice"})}, [1, 4]),
        ({"sessions": frozenset[str]()}, [4]),
    ],
)
async def test_sessions_and_users(tmp_path: Path, terms: dict[str, Any], expected: list[int]) -> None:
    """From memory and from disk; what is about nobody passes."""
    async with running(tmp_path / "j", ring=4) as guest:
        early, late = (reader(guest, LOGIN, **terms) for _ in range(2))
        for about in (("1", "alice"), ("2", "alice"), ("1", "bob")):
            await guest.append(LOGIN, session=about[0], user=about[1])
        await fill(guest, LOGIN)
        assert await heard(early) == expected
        await fill(guest, *[FOCUSED] * 4)
        assert late.is_behind
        assert await heard(late) == expected


async def test_a_window_is_never_exceeded(tmp_path: Path) -> None:
    async with running(tmp_path / "j", ring=2) as guest:
        subscription = reader(guest, LOGIN, window=3)
        await fill(guest, LOGIN, FOCUSED, *[LOGIN] * 7)
        assert await heard(subscription) == [1, 3, 4]
        assert (subscription.is_full, subscription.has_more, subscription.take()) == (True, False, [])
        subscription.acknowledge(2)
        assert await heard(subscription) == [5]
        assert not subscription.has(3)
        subscription.acknowledge(3)
        assert subscription.has(3)
        subscription.acknowledge(99)
        assert await heard(subscription) == [6, 7, 8]
        subscription.acknowledge(8)
        assert await heard(subscription) == [9]
        subscription.acknowledge(9)
        assert subscription.has(9)


async def test_a_window_holds_for_what_the_disk_does_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "j", ring=2) as guest:
        subscription = reader(guest, LOGIN, window=3)
        await fill(guest, LOGIN)
        monkeypatch.setattr(JournalStore, "append", is_full)
        await fill(guest, *[LOGIN] * 9)
        assert guest.history.state == "full"
        assert await heard(subscription) == [1, 2, 3]
        subscription.acknowledge(3)
        assert await heard(subscription) == [4, 5, 6]
        monkeypatch.undo()


def is_full(*_: object) -> None:
    raise JournalFault("full", "no room left")


async def test_what_comes_too_often_is_kept_back_and_the_last_of_it_sent_late(tmp_path: Path) -> None:
    now = Now()
    async with running(tmp_path / "j", ring=20) as guest:
        subscription = reader(guest, now=now, rates=((EventFilter(["*"]), 0.5),), name="a")
        for session in ("1", "2", "1", "1", "2"):
            await guest.append(FOCUSED, session=session)
        await fill(guest, LOGIN, LOGIN)
        assert await heard(subscription) == [1, 2, 6, 7]
        assert subscription.due == now.time + 2
        now.time += 2
        late = subscription.take()
        assert [*map(plain, late)] == [4, 5]
        assert late[0].data.startswith(b'{"subscription": "a", "late": true, "epoch": ')
        await guest.append(FOCUSED, session="1")
        assert await heard(subscription) == []
        assert subscription.due == now.time + 2


async def test_nothing_late_is_sent_beyond_a_window(tmp_path: Path) -> None:
    now = Now()
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, now=now, rates=((EventFilter(["*"]), 1.0),), window=2)
        await fill(guest, FOCUSED, FOCUSED, LOGIN)
        assert await heard(subscription) == [1, 3]
        now.time += 1
        assert (subscription.due, subscription.take()) == (None, [])
        subscription.acknowledge(1)
        assert subscription.due == now.time
        assert await heard(subscription) == [2]


async def test_a_host_that_comes_back_hears_the_last_of_what_has_a_rate_again() -> None:
    """It may have been kept back when the connection ended."""
    async with running(None, ring=20) as guest:
        await fill(guest, "APP_STARTED", FOCUSED, FOCUSED, LOGIN, FOCUSED)
        rates = ((EventFilter(["APP_*"]), 1.0),)
        assert await heard(reader(guest, "APP_FOCUSED", LOGIN, since=4, rates=rates)) == [3]
        assert await heard(reader(guest, since=4, rates=rates)) == [1, 3]
        assert await heard(reader(guest, rates=rates)) == []
        assert await heard(reader(guest, since=Since("other", 4), rates=rates)) == [
            (0, 0, "new-epoch", None),
            1,
            2,
            4,
        ]


async def test_also_where_another_host_had_a_run_begun() -> None:
    async with running(None, ring=20) as guest:
        await fill(guest, FOCUSED, LOGIN)
        reader(guest, since=7)
        rates = ((EventFilter(["APP_*"]), 1.0),)
        assert await heard(reader(guest, since=Since("e", 2), rates=rates)) == [1]


async def test_beacons() -> None:
    now = Now()
    async with running(None) as guest:
        subscription = reader(guest, LOGIN, now=now, beacon=2.0)
        assert subscription.due == now.time
        [first] = subscription.take()
        assert json.loads(first.data) == {
            "epoch": "e", "seq": 0, "source": "verified", "agents": 0, "dropped": 0, "journal": "off",
            "frozen": False,
        }  # fmt: skip
        await fill(guest, FOCUSED, LOGIN)
        assert await heard(subscription) == [2]
        assert subscription.due == now.time + 2
        now.time += 2
        assert await heard(subscription) == ["BEACON"]
        await guest.freeze()
        [frozen] = subscription.take()
        assert (frozen.seq, json.loads(frozen.data)["frozen"]) == (2, True)
        assert await heard(subscription) == []


async def test_beacons_tell_what_is_wrong_with_the_journal_and_how_much_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "j") as guest:
        subscription = reader(guest, beacon=60.0)
        assert await heard(subscription) == ["BEACON"]
        await fill(guest, *[FOCUSED] * 10)
        assert await heard(subscription) == [(1, 4, "slow-reader", ["*"]), *range(5, 11)]
        monkeypatch.setattr(JournalStore, "append", is_full)
        await fill(guest, LOGIN)
        beacon, _ = subscription.take()
        told = json.loads(beacon.data)
        assert (told["journal"], told["dropped"], told["seq"]) == ("full", 4, 10)
        monkeypatch.undo()


async def test_what_is_wanted_no_more_is_not_sent_where_it_was_read_already(tmp_path: Path) -> None:
    """Nor does it wait for an acknowledgement, nor for its time."""
    now = Now()
    async with running(tmp_path / "j") as guest:
        subscription = reader(
            guest, LOGIN, "SESSION_LOCK", FOCUSED, now=now, window=9, rates=((EventFilter(["APP_*"]), 1.0),)
        )
        await fill(guest, FOCUSED, FOCUSED)
        assert await heard(subscription) == [1]
        for _ in range(4):
            await guest.append(LOGIN, text="x" * BATCH_BYTES)
        await fill(guest, "SESSION_LOCK", *[LOGIN] * 6)
        while subscription.take() == []:
            await subscription.fetch()
        subscription.forget([LOGIN, FOCUSED])
        now.time += 1
        assert await heard(subscription) == [7]
        subscription.acknowledge(7)
        assert subscription.has(13)
