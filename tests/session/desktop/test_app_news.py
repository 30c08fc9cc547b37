"""What is told of applications: in order, bounded, no start without its exit."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from guestmux_session.desktop import app_table
from guestmux_session.desktop.app_news import MANY, AppNews, Item
from guestmux_session.desktop.app_table import AppRef, AppTable

EDITOR, TERMINAL = AppRef("editor", "Editor", 1), AppRef("terminal", "Terminal", 2)
BROWSER = AppRef("browser", "Browser", 3)


def taken(news: AppNews) -> list[Item]:
    items = []
    while (item := news.take()) is not None:
        items.append(item)
    return items


def kinds(news: AppNews) -> list[tuple[str, AppRef | None]]:
    return [(item.kind, item.app) for item in taken(news)]


def test_an_application_is_its_windows() -> None:
    news = AppNews()
    table = AppTable(news)
    table.opened(1, EDITOR)
    table.opened(2, EDITOR)
    table.opened(2, EDITOR)
    table.closed(1)
    assert kinds(news) == [("started", EDITOR)]
    table.closed(2)
    table.closed(2)
    assert kinds(news) == [("exited", EDITOR)]


def test_focus_is_the_last_one_and_comes_behind_what_started() -> None:
    news = AppNews()
    table = AppTable(news)
    table.opened(1, EDITOR)
    for _ in range(100):
        table.focus(1)
        table.focus(None)
    table.focus(1)
    table.opened(2, TERMINAL)
    assert kinds(news) == [("started", EDITOR), ("started", TERMINAL), ("focused", EDITOR)]
    table.focus(1)
    assert kinds(news) == []
    table.closed(1)
    assert kinds(news) == [("exited", EDITOR), ("focused", None)]


def test_a_window_that_becomes_another_applications() -> None:
    news = AppNews()
    table = AppTable(news)
    table.opened(1, EDITOR)
    table.opened(1, TERMINAL)
    assert kinds(news) == [("started", EDITOR), ("exited", EDITOR), ("started", TERMINAL)]


def test_what_ran_before_has_not_started_but_exits() -> None:
    news = AppNews()
    table = AppTable(news)
    news.silent = True
    table.opened(1, EDITOR)
    news.silent = False
    table.clear()
    assert kinds(news) == [("exited", EDITOR)]


def test_another_connection_tells_what_is_different() -> None:
    news = AppNews()
    known = AppTable(news)
    known.opened(1, EDITOR)
    known.opened(2, TERMINAL)
    known.focus(1)
    taken(news)
    table = known.successor()
    news.silent = True
    table.opened("a", EDITOR)
    table.opened("b", BROWSER)
    table.focus("a")
    news.silent = False
    table.succeed(known)
    assert kinds(news) == [("exited", TERMINAL), ("started", BROWSER)]
    table.closed("a")
    assert kinds(news) == [("exited", EDITOR), ("focused", None)]


def test_who_came_and_went_while_nobody_listened_is_left_out() -> None:
    news = AppNews()
    table = AppTable(news)
    table.opened("stays", EDITOR)
    for number in range(10 * MANY):
        table.opened(number, AppRef(f"app-{number}", ""))
        table.closed(number)
    assert len(news) <= MANY + 2
    assert news.left_out > 9 * MANY
    told = Counter(item.kind for item in taken(news))
    assert told["started"] == told["exited"] + 1


def test_no_more_windows_than_are_followed() -> None:
    table = AppTable(AppNews())
    for number in range(app_table.MAX_WINDOWS + 1):
        table.opened(number, EDITOR)
    assert table.truncated
    assert len(table.windows) == app_table.MAX_WINDOWS
    table.clear()
    assert not table.truncated


def test_of_several_the_last_is_found_or_the_one_asked_for() -> None:
    table = AppTable(AppNews())
    other = AppRef("editor", "Editor", 9)
    table.opened(1, EDITOR)
    table.opened(2, other)
    assert [found.app if (found := table.find("editor", pid)) else None for pid in (0, 1, 9, 5)] == [
        other,
        EDITOR,
        other,
        None,
    ]


@given(st.lists(st.tuples(st.sampled_from("oct"), st.integers(0, 5))))
def test_whatever_happens_starts_and_exits_alternate(steps: list[tuple[str, int]]) -> None:
    news = AppNews()
    table = AppTable(news)
    told: list[Item] = []
    for step, number in steps:
        if step == "o":
            table.opened(number, AppRef(f"app-{number % 3}", ""))
        elif step == "c":
            table.closed(number)
        else:
            told += taken(news)
    table.clear()
    told += taken(news)
    for app in {item.app for item in told}:
        own = [item.kind for item in told if item.app == app]
        assert own == ["started", "exited"] * (len(own) // 2)
