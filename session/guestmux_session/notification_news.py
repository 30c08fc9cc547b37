"""Tells hosts what became of notifications that no call waits for."""

from __future__ import annotations

import logging
from collections import deque

from guestmux_protocol.events import NotificationAction, NotificationClosed
from guestmux_session.errors import Disconnected, NotRegistered
from guestmux_session.news import News
from guestmux_session.pulse import Pulse
from guestmux_session.telling import Emitter, tell

MAX_WAITING = 256
"""Events that wait for eventd: four for each notification that is followed. The oldest goes, which is logged."""

EVENTS = {NotificationAction: "NOTIFICATION_ACTION", NotificationClosed: "NOTIFICATION_CLOSED"}

logger = logging.getLogger(__name__)


class NotificationNews:
    """The events, in order. They wait while there is no eventd: it is the host that asked the user.

    Args:
        host: whom they go to.
    """

    def __init__(self, host: Emitter) -> None:
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
                    await tell(self._host, EVENTS[type(news)], news, self._trouble)
                except (Disconnected, NotRegistered):
                    self._waiting.appendleft(news)
                    return
            await self._changed.wait_beyond(seen)
