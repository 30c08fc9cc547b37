"""The table of open notifications: who is told what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.events import NotificationAction, NotificationClosed
from guestmux_session.open_notifications import (
    MAX_EARLY,
    MAX_OPEN,
    Chosen,
    Gone,
    Happening,
    News,
    OpenNotifications,
    Replied,
    Watched,
)


class Table(OpenNotifications):
    """One that notes what it tells.

    Attributes:
        told: the events.
        closed: the numbers that the server was to take away.
    """

    def __init__(self) -> None:
        self.told: list[News] = []
        self.closed: list[int] = []
        super().__init__(self.told.append, self.closed.append)

    def show(
        self, number: int, *, resident: bool = False, waits: bool = False, tag: str = ""
    ) -> Watched | None:
        with self.showing() as server:
            return self.opened(number, server, tag=tag, resident=resident, waits=waits)

    def watch(self, number: int, *, resident: bool = False) -> Watched:
        watched = self.show(number, resident=resident, waits=True)
        assert watched is not None
        return watched


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.mark.parametrize(
    ("happening", "news"),
    [
        (Chosen("yes"), NotificationAction(id=1, tag="t", action="yes")),
        (Replied(""), NotificationAction(id=1, tag="t", reply="")),
        (Gone("expired"), NotificationClosed(id=1, tag="t", reason="expired")),
    ],
)
def test_what_nobody_waits_for_is_told(table: Table, happening: Happening, news: News) -> None:
    table.show(1, tag="t")
    table.happened(2, happening)
    table.happened(1, happening)
    assert table.told == [news]


def test_its_end_is_told_after_an_action(table: Table) -> None:
    table.show(1)
    table.happened(1, Chosen("yes"))
    table.happened(1, Gone("dismissed"))
    table.happened(1, Gone("dismissed"))
    assert table.told == [
        NotificationAction(id=1, action="yes"),
        NotificationClosed(id=1, reason="dismissed"),
    ]
    assert table.is_idle


def test_what_somebody_waits_for_is_told_to_him_alone(table: Table) -> None:
    watched = table.watch(1)
    table.happened(1, Chosen("yes"))
    table.happened(1, Gone("dismissed"))
    table.forget(1, watched)
    assert watched.ending == Chosen("yes")
    assert (table.told, table.closed, table.is_idle) == ([], [], True)


def test_one_that_stays_after_its_answer_is_told_of(table: Table) -> None:
    watched = table.watch(1, resident=True)
    table.happened(1, Chosen("a"))
    table.happened(1, Chosen("b"))
    table.happened(1, Gone("dismissed"))
    assert watched.ending == Chosen("a")
    assert table.told == [NotificationAction(id=1, action="b"), NotificationClosed(id=1, reason="dismissed")]


def test_one_that_its_server_leaves_open_is_taken_away_when_it_is_answered(table: Table) -> None:
    watched = table.watch(1)
    table.happened(1, Chosen("yes"))
    table.forget(1, watched)
    assert table.closed == [1]
    watched = table.watch(2, resident=True)
    table.happened(2, Chosen("yes"))
    table.forget(2, watched)
    assert table.closed == [1]


def test_one_that_another_took_the_place_of_is_left_alone(table: Table) -> None:
    watched = table.watch(1)
    table.show(1)
    table.forget(1, watched)
    assert table.closed == []


@pytest.mark.parametrize("resident", [True, False])
def test_one_that_was_given_up_is_nobodys(table: Table, resident: bool) -> None:
    watched = table.watch(1, resident=resident)
    table.forget(1, watched)
    assert table.closed == [1]
    table.happened(1, Gone("closed"))
    assert (table.told, table.is_idle) == ([], True)


def test_a_user_quicker_than_the_servers_answer(table: Table) -> None:
    with table.showing() as server:
        table.happened(1, Chosen("yes"))
        table.happened(1, Gone("dismissed"))
        watched = table.opened(1, server, tag="", resident=False, waits=True)
    assert watched is not None
    assert watched.ending == Chosen("yes")
    assert table.is_idle


def test_what_is_early_is_bounded(table: Table) -> None:
    with table.showing() as server:
        for number in range(MAX_EARLY + 1):
            table.happened(number + 1, Gone("expired"))
        table.opened(MAX_EARLY + 1, server, tag="", resident=False, waits=False)
    assert table.told == []


def test_what_was_early_for_nobody_is_forgotten(table: Table) -> None:
    table.happened(1, Gone("expired"))
    with table.showing():
        table.happened(2, Gone("expired"))
    assert table.watch(1).ending is None
    assert table.watch(2).ending is None


def test_one_that_is_replaced_ends_for_who_waits_and_is_not_told_of(table: Table) -> None:
    watched = table.watch(1)
    table.show(1)
    assert watched.ending == Gone("closed")
    table.show(1, tag="new")
    assert table.told == []
    table.happened(1, Gone("expired"))
    assert table.told == [NotificationClosed(id=1, tag="new", reason="expired")]


def test_what_happens_while_one_is_replaced_is_about_the_new_one(table: Table) -> None:
    table.show(1, tag="old")
    with table.showing(replaces=1) as server:
        table.happened(1, Chosen("yes"))
        table.opened(1, server, tag="new", resident=False, waits=False)
    assert table.told == [NotificationAction(id=1, tag="new", action="yes")]


def test_what_happens_while_one_is_not_replaced_after_all_is_about_the_old_one(table: Table) -> None:
    table.show(1, tag="old")
    with table.showing(replaces=1):
        table.happened(1, Gone("expired"))
    assert table.told == [NotificationClosed(id=1, tag="old", reason="expired")]
    assert table.is_idle


def test_a_server_that_goes(table: Table) -> None:
    table.show(1)
    watched = table.watch(2)
    table.vanished()
    assert table.told == [NotificationClosed(id=1, reason="server-gone")]
    assert watched.ending == Gone("server-gone")
    assert table.is_idle


def test_a_server_that_goes_while_it_shows_one(table: Table) -> None:
    with table.showing() as server:
        table.vanished()
        table.opened(1, server, tag="", resident=False, waits=False)
    assert table.told == [NotificationClosed(id=1, reason="server-gone")]
    assert table.is_idle


def test_the_oldest_goes_when_there_are_too_many(table: Table) -> None:
    table.watch(1)
    for number in range(2, MAX_OPEN + 2):
        table.show(number)
    assert table.closed == [2]
    assert table.told == [NotificationClosed(id=2, reason="closed")]
    assert 1 in table
    assert 2 not in table


NUMBERS = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.just("show"), NUMBERS, st.booleans(), st.booleans()),
    st.tuples(st.just("happen"), NUMBERS, st.sampled_from([Chosen("yes"), Replied("no"), Gone("expired")])),
    st.tuples(st.just("forget"), NUMBERS),
    st.tuples(st.just("vanish")),
)


@given(st.lists(STEPS, max_size=40))
def test_each_end_is_told_once_and_to_one_side_alone(steps: list[tuple[Any, ...]]) -> None:
    table = Table()
    waiting: dict[int, Watched] = {}
    for step in steps:
        told = len(table.told)
        match step:
            case ("show", number, resident, waits):
                watched = table.show(number, resident=resident, waits=waits)
                if before := waiting.pop(number, None):
                    assert before.ending is not None
                if watched is not None:
                    waiting[number] = watched
                assert len(table.told) == told
            case ("happen", number, happening):
                was_open = number in table
                awaited = number in waiting and waiting[number].ending is None
                table.happened(number, happening)
                assert (number in table) == (was_open and not isinstance(happening, Gone))
                assert not (awaited and len(table.told) > told)
                if awaited:
                    assert waiting[number].ending == happening
            case ("forget", number):
                if watched := waiting.pop(number, None):
                    table.forget(number, watched)
                    assert len(table.told) == told
            case _:
                gone = {number for number in (1, 2, 3, 4) if number in table}
                table.vanished()
                assert table.is_idle
                assert {news.id for news in table.told[told:]} <= gone
                assert len(table.told) - told <= len(gone)
                assert all(watched.ending is not None for watched in waiting.values())
