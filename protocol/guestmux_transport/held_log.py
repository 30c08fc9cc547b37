"""A log that waits in memory while nothing may be written: on frozen file systems whoever writes one hangs."""

from __future__ import annotations

import logging

MAX_HELD = 1000
"""Entries that wait, some hundred kB; a freeze lasts seconds. More are counted, and told as one."""

logger = logging.getLogger(__name__)


class HeldLog(logging.Handler):
    """Takes the place of the root logger's handlers for a while."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers: list[logging.Handler] = []
        self._entries: list[logging.LogRecord] = []
        self._lost = 0

    def hold(self, held: bool) -> None:
        """Begin to hold entries back, or hand on all that were."""
        root = logging.getLogger()
        if held and self not in root.handlers:
            self._handlers[:] = root.handlers
            root.handlers[:] = [self]
        elif not held and self in root.handlers:
            root.handlers[:] = self._handlers
            self._hand_on()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an entry."""
        if len(self._entries) < MAX_HELD:
            self._entries.append(record)
        else:
            self._lost += 1

    def _hand_on(self) -> None:
        entries, self._entries = self._entries, []
        lost, self._lost = self._lost, 0
        for record in entries:
            for handler in self._handlers:
                handler.handle(record)
        if lost:
            logger.warning("%d log entries from while file systems were frozen are lost", lost)
