"""The small parts, by themselves."""

import logging

import pytest

from guestmux_session.backoff import Backoff
from guestmux_session.news import News
from guestmux_session.open_notifications import MAX_EARLY, Ending, OpenNotifications
from guestmux_session.wanted import EVERYTHING, NOTHING, Wanted


def test_waits_grow_to_a_bound_and_start_again_after_a_good_while() -> None:
    now = 0.0
    backoff = Backoff(first=1.0, longest=8.0, clock=lambda: now)
    backoff.attempt()
    delays = [backoff.next() for _ in range(6)]
    assert [int(delay / 1.2001 + 0.9999) for delay in delays[:3]] == [1, 2, 4]
    assert all(8.0 <= delay <= 9.6 for delay in delays[3:])
    backoff.attempt()
    now = 8.0
    assert backoff.next() < 2.0
    backoff.next()
    backoff.reset()
    assert backoff.next() < 2.0


def test_news_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    news = News(logging.getLogger("test"), "thing", told.append)
    with caplog.at_level(logging.INFO):
        for text in ("up", "up", "down", "up"):
            news.tell(text)
    assert told == ["up", "down", "up"]
    assert [record.message for record in caplog.records] == ["thing: up", "thing: down", "thing: up"]


def test_wanted_takes_many_patterns_and_none_that_is_none() -> None:
    wanted = Wanted([f"__x_E{number}" for number in range(500)] + ["bad pattern", "__y_*"])
    assert "__x_E499" in wanted
    assert "__y_1" in wanted
    assert "bad pattern" not in wanted
    assert "A" in EVERYTHING
    assert "A" not in NOTHING


def test_the_first_end_of_a_notification_counts() -> None:
    table = OpenNotifications()
    with table.showing() as server:
        watched = table.watch(5, server)
    table.ended(5, Ending("action", "yes"))
    table.ended(5, Ending("dismissed"))
    table.vanished()
    assert watched.ending == Ending("action", "yes")
    assert not watched.vanished


def test_a_number_given_twice_ends_the_first() -> None:
    table = OpenNotifications()
    with table.showing() as server:
        first, second = table.watch(5, server), table.watch(5, server)
    table.forget(5, first)
    table.ended(5, Ending("expired"))
    assert first.ending == Ending("closed")
    assert second.ending == Ending("expired")


def test_early_ends_are_bounded_and_forgotten() -> None:
    table = OpenNotifications()
    table.ended(1, Ending("expired"))
    with table.showing() as server:
        for number in range(2, MAX_EARLY + 10):
            table.ended(number, Ending("expired"))
        assert table.watch(1, server).ending is None
        assert table.watch(2, server).ending == Ending("expired")
        assert table.watch(MAX_EARLY + 5, server).ending is None
    with table.showing() as server:
        assert table.watch(3, server).ending is None


def test_a_server_that_changed_while_it_was_asked() -> None:
    table = OpenNotifications()
    with table.showing() as server:
        table.vanished()
        assert table.watch(1, server).vanished
