"""Tells hosts what became of notifications that no call waits for."""

from __future__ import annotations

import logging
from collections import deque
from typing import Protocol

import anyio

from guestmux_protocol.events import NotificationAction, NotificationClosed
from guestmux_protocol.registry import Data
from guestmux_session.errors import (
    Denied,
    Disconnected,
    InvalidArgument,
    LimitExceeded,
    NotRegistered,
    TooLarge,
)
from guestmux_session.news import News
from guestmux_session.pulse import Pulse

MAX_WAITING = 256
"""Events that wait for eventd: four for each notification that is followed. The oldest goes, which is logged."""

REFUSED_SECONDS = 0.2
"""Seconds to wait when eventd wants fewer events a second: its bucket has room for some hundred again."""

EVENTS = {NotificationAction: "NOTIFICATION_ACTION", NotificationClosed: "NOTIFICATION_CLOSED"}

logger = logging.getLogger(__name__)


class NewsHost(Protocol):
    """Whom events go to."""

    async def emit(self, event: str, data: Data) -> int:
        """Send an event."""


class NotificationNews:
    """The events, in order. They wait while there is no eventd: it is the host that asked the user.

    Args:
        host: whom they go to.
    """

    def __init__(self, host: NewsHost) -> None:
        self._host = host
        self._waiting: deque[NotificationAction | NotificationClosed] = deque()
        self._changed = Pulse()
        self._trouble = News(logger, "notifications")

    def tell(self, news: NotificationAction | NotificationClosed) -> None:
        """One more."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._trouble.tell(f"more than {MAX_WAITING} events wait; the oldest are lost", logging.WARNING)
        self._waiting.append(news)
        self._changed.beat()

    async def run(self) -> None:
        """Send them, for as long as the agent is registered."""
        while True:
            seen = self._changed.count
            while self._waiting:
                # One that is on its way when the registration ends has arrived: it is not sent again.
                news = self._waiting.popleft()
                try:
                    await self._send(news)
                except (Disconnected, NotRegistered):
                    self._waiting.appendleft(news)
                    return
            await self._changed.wait_beyond(seen)

    async def _send(self, news: NotificationAction | NotificationClosed) -> None:
        event = EVENTS[type(news)]
        while True:
            try:
                await self._host.emit(event, news)
            except LimitExceeded:
                await anyio.sleep(REFUSED_SECONDS)
            except (InvalidArgument, Denied, TooLarge) as error:
                self._trouble.tell(f"{event} was refused: {error}", logging.WARNING)
                return
            else:
                return
