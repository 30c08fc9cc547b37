"""What became of notifications, on its way to eventd."""

import logging
from typing import Any

import anyio
import pytest

from guestmux_protocol.events import NotificationAction, NotificationClosed
from guestmux_session import telling
from guestmux_session.errors import AgentError, InvalidArgument, LimitExceeded, NotRegistered
from guestmux_session.notification_news import MAX_WAITING, NotificationNews

pytestmark = pytest.mark.anyio

CLOSED = NotificationClosed(id=1, reason="expired")


class Host:
    """Takes events, or fails as it is told to."""

    def __init__(self, *failures: AgentError) -> None:
        self.failures = list(failures)
        self.told: list[tuple[str, Any]] = []
        self.changed = anyio.Event()

    async def emit(self, event: str, data: Any) -> int:
        if self.failures:
            raise self.failures.pop(0)
        self.told.append((event, data))
        self.changed.set()
        self.changed = anyio.Event()
        return len(self.told)

    async def until_told(self, count: int) -> None:
        while len(self.told) < count:
            await self.changed.wait()


async def test_they_go_in_order_and_wait_for_eventd() -> None:
    host = Host(NotRegistered("gone"))
    news = NotificationNews(host)
    action = NotificationAction(id=1, action="yes")
    news.tell(action)
    # The registration has ended, which `run` goes by.
    await news.run()
    news.tell(CLOSED)
    async with anyio.create_task_group() as group:
        group.start_soon(news.run)
        await host.until_told(2)
        news.tell(CLOSED)
        await host.until_told(3)
        group.cancel_scope.cancel()
    assert host.told == [("NOTIFICATION_ACTION", action), *[("NOTIFICATION_CLOSED", CLOSED)] * 2]


async def test_eventd_wants_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "REFUSED_SECONDS", 0)
    host = Host(LimitExceeded("slow down"), LimitExceeded("slow down"))
    await _sent(NotificationNews(host), host)


async def test_what_eventd_refuses_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(InvalidArgument("no"))
    news = NotificationNews(host)
    news.tell(NotificationClosed(id=2, reason="closed"))
    await _sent(news, host)
    assert "NOTIFICATION_CLOSED was refused: no" in caplog.text


async def test_what_waits_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    host = Host()
    news = NotificationNews(host)
    for number in range(1, MAX_WAITING + 2):
        news.tell(NotificationClosed(id=number, reason="expired"))
    async with anyio.create_task_group() as group:
        group.start_soon(news.run)
        await host.until_told(MAX_WAITING)
        group.cancel_scope.cancel()
    assert host.told[0][1].id == 2
    assert "the oldest are lost" in caplog.text


async def _sent(news: NotificationNews, host: Host) -> None:
    news.tell(CLOSED)
    async with anyio.create_task_group() as group:
        group.start_soon(news.run)
        await host.until_told(1)
        group.cancel_scope.cancel()
    assert host.told == [("NOTIFICATION_CLOSED", CLOSED)]
