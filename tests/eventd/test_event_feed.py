"""All subscriptions of one host connection: beside each other, replaced, ended, and when it is woken for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_eventd.event_feed import MAX_SUBSCRIPTIONS, EventFeed
from guestmux_eventd.event_history import RUNS_AT_ONCE
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.position import Since
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.patterns import MAX_PATTERNS, EventFilter
from tests.support.event_guests import EventGuest, Now

pytestmark = pytest.mark.anyio

LOGIN, FOCUSED = "SESSION_LOGIN", "APP_FOCUSED"


class Guest(EventGuest):
    """With one host."""

    def __init__(self, directory: Path | None, now: Now, *, ring: int = 6) -> None:
        super().__init__(directory, "e", now, ring=ring)
        self.host = self.feed()

    def subscribe(self, *patterns: str, name: str = "", since: int | None = None, **terms: Any) -> None:
        position = None if since is None else Since("e", since)
        self.host.subscribe(Terms(EventFilter(patterns), name, **terms), position)

    async def fill(self, *names: str) -> None:
        for name in names:
            await self.append(name)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def guest(tmp_path: Path, now: Now) -> AsyncIterator[Guest]:
    guest = Guest(tmp_path / "j", now)
    await guest.start()
    yield guest
    await guest.end()


async def sent(host: EventFeed) -> list[tuple[str, int]]:
    """All that a host is sent now: the subscription's name and the number."""
    found = []
    while entries := await host.next():
        found += [(json.loads(entry.data).get("subscription", ""), entry.seq) for entry in entries]
    return found


async def test_subscriptions_are_beside_each_other(guest: Guest) -> None:
    guest.subscribe(LOGIN)
    guest.subscribe("*", name="a")
    await guest.fill(LOGIN, FOCUSED)
    assert sorted(await sent(guest.host)) == [("", 1), ("a", 1), ("a", 2)]
    assert guest.host.cursor == 2
    assert guest.host.has(2)
    assert not guest.host.has(3)


async def test_another_with_the_same_name_takes_its_place(guest: Guest) -> None:
    guest.subscribe("*", name="a")
    await guest.fill(LOGIN)
    guest.subscribe(FOCUSED, name="a")
    await guest.fill(LOGIN, FOCUSED)
    assert await sent(guest.host) == [("a", 3)]


async def test_one_that_cannot_be_leaves_the_other_in_its_place(guest: Guest) -> None:
    guest.subscribe("*")
    for _ in range(int(RUNS_AT_ONCE)):
        guest.host.subscribe(Terms(EventFilter([LOGIN])), Since(guest.log.epoch, 99))
    with pytest.raises(CommandFailure):
        guest.host.subscribe(Terms(EventFilter([FOCUSED])), Since(guest.log.epoch, 99))
    assert guest.host.wanted is not None
    assert guest.host.wanted.patterns == (LOGIN,)


async def test_there_are_so_many_at_most(guest: Guest) -> None:
    for number in range(MAX_SUBSCRIPTIONS):
        guest.subscribe("*", name=str(number))
    with pytest.raises(CommandFailure, match="16 subscriptions of one host are all that there may be"):
        guest.subscribe("*")
    guest.subscribe(LOGIN, name="3")
    guest.host.unsubscribe(None, "5")
    guest.subscribe("*")


async def test_what_hosts_want_is_known(guest: Guest) -> None:
    changes: list[list[str]] = []

    class Host:
        @property
        def wanted(self) -> EventFilter | None:
            return guest.host.wanted

        def has(self, seq: int) -> bool:
            return guest.host.has(seq)

    guest.hosts.add(Host())
    guest.hosts.watch(lambda: changes.append(guest.hosts.wanted()))
    guest.subscribe(LOGIN)
    guest.subscribe("APP_*", LOGIN, name="a")
    guest.host.unsubscribe([LOGIN], "a")
    guest.host.unsubscribe(None)
    guest.host.unsubscribe(None, "nothing of the kind")
    guest.host.unsubscribe(["APP_*"], "a")
    assert changes == [[LOGIN], ["APP_*", LOGIN], ["APP_*", LOGIN], ["APP_*"], []]
    assert guest.host.wanted is None
    for number in range(2):
        guest.subscribe(*[f"E{number}_{each}" for each in range(MAX_PATTERNS)], name=str(number))
    assert changes[-1] == ["*"]
    guest.host.clear()
    assert changes[-1] == []


async def test_an_acknowledgement_is_of_one_or_of_all(guest: Guest) -> None:
    for name in ("", "a", "b"):
        guest.subscribe(LOGIN, name=name, window=1)
    await guest.fill(LOGIN, LOGIN)
    assert sorted(await sent(guest.host)) == [("", 1), ("a", 1), ("b", 1)]
    assert not guest.host.has(1)
    guest.host.acknowledge(1, "a")
    assert await sent(guest.host) == [("a", 2)]
    guest.host.acknowledge(1)
    assert sorted(await sent(guest.host)) == [("", 2), ("b", 2)]
    guest.host.acknowledge(2)
    assert guest.host.has(2)


@pytest.mark.parametrize(("name", "told"), [("B", "no subscription 'B'"), ("", "no unnamed subscription")])
async def test_an_acknowledgement_of_what_there_is_not(guest: Guest, name: str, told: str) -> None:
    guest.subscribe(LOGIN, name="b", window=1)
    await guest.fill(LOGIN)
    await sent(guest.host)
    with pytest.raises(CommandFailure, match=told):
        guest.host.acknowledge(1, name)
    assert not guest.host.has(1)


async def test_nobody_waits_behind_one_that_has_much(guest: Guest) -> None:
    for name in "ab":
        guest.subscribe(FOCUSED, name=name)
    for _ in range(5):
        guest.log.append(FOCUSED, {"text": "x" * 40_000}, "claimed")
    assert [name for name, _ in await sent(guest.host)] == ["a", "b"] * 5


async def test_many_that_are_behind_all_hear_everything(guest: Guest) -> None:
    for number in range(MAX_SUBSCRIPTIONS):
        guest.subscribe(LOGIN, name=str(number))
    await guest.fill(*[LOGIN] * 20)
    heard = await sent(guest.host)
    for number in range(MAX_SUBSCRIPTIONS):
        assert [seq for name, seq in heard if name == str(number)] == list(range(1, 21))


@pytest.mark.parametrize("how", ["replaced", "ended", "cleared"])
async def test_what_is_read_for_one_that_is_over_goes_nowhere(guest: Guest, how: str) -> None:
    guest.subscribe(LOGIN)
    await guest.fill(*[LOGIN] * 10)
    guest.stall()
    heard: list[tuple[str, int]] = []

    async def listen() -> None:
        heard.extend(await sent(guest.host))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        if how == "replaced":
            guest.subscribe(FOCUSED)
            guest.log.append(FOCUSED, {}, "claimed")
        elif how == "ended":
            guest.host.unsubscribe(None)
        else:
            guest.host.clear()
        await guest.go_on()
    assert heard == ([("", 11)] if how == "replaced" else [])


async def test_nothing_is_read_while_file_systems_are_frozen(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest.subscribe(LOGIN)
    guest.subscribe(LOGIN, name="late", since=0)
    await guest.freeze()
    await guest.fill(*[LOGIN] * 10)
    with monkeypatch.context() as patch:
        patch.setattr(guest.history, "read", None)
        assert await sent(guest.host) == []
        assert not guest.host.has_more
    await guest.thaw()
    assert [seq for name, seq in await sent(guest.host) if not name] == list(range(1, 11))


# ---- when it is woken


class Waiter:
    """Counts how often a feed's `wait` returns, as the task of a host connection has it."""

    def __init__(self, host: EventFeed) -> None:
        self.host = host
        self.turns = 0
        self.sent: list[tuple[str, int]] = []

    async def run(self) -> None:
        while True:
            await self.host.wait()
            self.turns += 1
            self.sent += await sent(self.host)


@asynccontextmanager
async def waiting(host: EventFeed) -> AsyncIterator[Waiter]:
    waiter = Waiter(host)
    stop = host.listen(host.wake_for_more)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiter.run)
        await anyio.wait_all_tasks_blocked()
        yield waiter
        tasks.cancel_scope.cancel()
    stop()


async def test_it_is_woken_for_what_is_wanted(guest: Guest) -> None:
    async with waiting(guest.host) as waiter:
        await guest.fill(LOGIN)
        assert waiter.turns == 0
        guest.subscribe(LOGIN)
        await anyio.wait_all_tasks_blocked()
        await guest.fill(LOGIN)
        await anyio.wait_all_tasks_blocked()
        assert (waiter.turns, waiter.sent) == (2, [("", 2)])


async def test_a_full_window_wakes_nobody(guest: Guest) -> None:
    guest.subscribe(LOGIN, window=1)
    async with waiting(guest.host) as waiter:
        await guest.fill(LOGIN)
        await anyio.wait_all_tasks_blocked()
        turns = waiter.turns
        await guest.fill(*[LOGIN] * 10)
        await anyio.wait_all_tasks_blocked()
        assert waiter.turns == turns
        guest.host.acknowledge(1)
        while waiter.sent != [("", 1), ("", 2)]:
            await anyio.lowlevel.checkpoint()


async def test_a_freeze_wakes_nobody_who_is_behind(guest: Guest) -> None:
    guest.subscribe(LOGIN)
    await guest.freeze()
    await guest.fill(*[LOGIN] * 7)
    async with waiting(guest.host) as waiter:
        await anyio.wait_all_tasks_blocked()
        turns = waiter.turns
        await guest.fill(*[LOGIN] * 10)
        await anyio.wait_all_tasks_blocked()
        assert waiter.turns == turns
        await guest.thaw()
        while len(waiter.sent) < 17:
            await anyio.lowlevel.checkpoint()


async def test_a_change_of_state_wakes_who_asked_for_beacons(guest: Guest) -> None:
    guest.subscribe(LOGIN, beacon=1000.0)
    async with waiting(guest.host) as waiter:
        await anyio.wait_all_tasks_blocked()
        assert waiter.sent == [("", 0)]
        await guest.freeze()
        await anyio.wait_all_tasks_blocked()
        assert waiter.sent == [("", 0)] * 2


async def test_who_takes_without_waiting_has_the_waiter_know_what_is_late(guest: Guest, now: Now) -> None:
    """As mux does: what is kept back was taken while nobody waited for a certain time."""
    guest.subscribe(FOCUSED, rates=((EventFilter(["*"]), 1.0),))
    async with waiting(guest.host) as waiter:
        await guest.fill(FOCUSED)
        await anyio.wait_all_tasks_blocked()
        guest.log.append_text(FOCUSED, b'"source": "claimed"')
        assert guest.host.take() == []
        now.time += 0.999999
        guest.host.wake_for_more()
        while len(waiter.sent) < 2:
            now.time += 0.000001
            await anyio.lowlevel.checkpoint()
    assert waiter.sent == [("", 1), ("", 2)]
