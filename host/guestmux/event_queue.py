"""The bounded queue between the connection and a consumer of events. Who is too slow is told what was dropped."""

from __future__ import annotations

from collections import deque

import msgspec

from guestmux.event import Event, Gap, Item

MAX_EVENTS = 65_536
"""Events waiting for a consumer, as many as eventd's own journal keeps."""

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of waiting events as they stood on the wire; in memory they take several times that."""

MAX_NOTICES = 256
"""Gaps, disconnects and reconnects that wait; a guest that restarts in a loop fills no memory."""

SLOW_CONSUMER = "slow-consumer"


class EventQueue:
    """Items for one consumer, in order.

    Args:
        max_events: events that may wait; at least 1.
        max_bytes: bytes of them that may wait, as they stood on the wire; one event is always taken.
    """

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._events = 0
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<EventQueue {len(self._items)} items, {self._bytes} bytes>"

    def __len__(self) -> int:
        return len(self._items)

    def put(self, event: Event, size: int) -> None:
        """Add an event of `size` bytes, or the word that it was dropped."""
        if self._events and (self._events >= self._max_events or self._bytes + size > self._max_bytes):
            self._drop(event.seq or 0)
            return
        self._events += 1
        self._bytes += size
        self._items.append((event, size))

    def put_notice(self, notice: Item) -> None:
        """Add what is no event. Beyond MAX_NOTICES the latest takes the place of the one before."""
        if len(self._items) - self._events >= MAX_NOTICES and not isinstance(self._items[-1][0], Event):
            self._items.pop()
        self._items.append((notice, 0))

    def take(self) -> Item:
        """Remove the oldest item.

        Raises:
            IndexError: it is empty.
        """
        item, size = self._items.popleft()
        if isinstance(item, Event):
            self._events -= 1
            self._bytes -= size
        return item

    def _drop(self, seq: int) -> None:
        latest = self._items[-1][0]
        if isinstance(latest, Gap) and latest.reason == SLOW_CONSUMER:
            grown = msgspec.structs.replace(latest, last=seq, count=latest.count + 1)
            self._items[-1] = (grown, 0)
        else:
            self.put_notice(Gap(seq, seq, SLOW_CONSUMER, 1))
