"""One subscription: what it is sent of what is in memory and on disk, and what it is told of the rest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.position import Since
from guestmux_eventd.subscription import Subscription
from guestmux_protocol.patterns import EventFilter
from tests.support.event_guests import EventGuest, Now

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
