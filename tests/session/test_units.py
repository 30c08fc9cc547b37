"""The small parts, by themselves."""

import logging

import pytest

from guestmux_session.backoff import Backoff
from guestmux_session.news import News
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
