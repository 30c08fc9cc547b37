"""The bounded queue between the connection and a consumer of events. Who is too slow is told what was dropped."""

from __future__ import annotations

from collections import deque

import msgspec

from guestmux.event import Event, Gap, Item
from guestmux_protocol.commands import Position

MAX_EVENTS = 65_536
"""Events waiting for a consumer, as many as eventd's own journal keeps."""

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of waiting events as they stood on the wire; in memory they take several times that."""

MAX_NOTICES = 256
"""Gaps, beacons, disconnects and reconnects that wait; a guest that restarts in a loop fills no memory."""

SLOW_CONSUMER = "slow-consumer"

Queued = tuple[Item, int, Position | None]
"""An item, its bytes, and where the stream stands behind it; None where an event says so itself, or nothing does."""


class EventQueue:
    """Items for one consumer, in order.

    Args:
        max_events: events that may wait; at least 1.
        max_bytes: bytes of them that may wait, as they stood on the wire; one event is always taken.
    """

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._items: deque[Queued] = deque()
        self._events = 0
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<EventQueue {len(self._items)} items, {self._bytes} bytes>"

    def __len__(self) -> int:
        return len(self._items)

    def put(self, event: Event, size: int) -> None:
        """Add an event of `size` bytes, or the word that it was dropped."""
        if self._events and (self._events >= self._max_events or self._bytes + size > self._max_bytes):
            self._drop(event)
            return
        self._events += 1
        self._bytes += size
        self._items.append((event, size, None))

    def put_notice(self, notice: Item, stands: Position | None = None) -> None:
        """Add what is no event. Beyond MAX_NOTICES gaps become one, and the latest of the others stays.

        Args:
            notice: it.
            stands: where the stream stands behind it.
        """
        waiting: Queued = (notice, 0, stands)
        if len(self._items) - self._events < MAX_NOTICES:
            self._items.append(waiting)
        else:
            self._items.extend(_condensed([*self._pop_notices(), waiting]))

    def take(self) -> tuple[Item, Position | None]:
        """Remove the oldest item; gives it, and where the stream stands behind it if it is no event.

        Raises:
            IndexError: it is empty.
        """
        item, size, stands = self._items.popleft()
        if size or item.__class__ is Event:
            self._events -= 1
            self._bytes -= size
        return item, stands

    def _pop_notices(self) -> list[Queued]:
        """The latest notices with no event between: a gap and another, as far as they were condensed."""
        notices: list[Queued] = []
        while self._items and len(notices) < 2 and not isinstance(self._items[-1][0], Event):
            notices.insert(0, self._items.pop())
        return notices

    def _drop(self, event: Event) -> None:
        latest, _, stood = self._items[-1]
        seq = event.seq or 0
        # A late event's number says nothing of how far the stream is.
        late = event.seq is None or event.data.get("late") is True
        stands = None if late else Position(epoch=event.epoch, seq=seq)
        if isinstance(latest, Gap) and latest.reason == SLOW_CONSUMER:
            first, last = min(latest.first, seq), max(latest.last, seq)
            grown = msgspec.structs.replace(latest, first=first, last=last, count=latest.count + 1)
            self._items[-1] = (grown, 0, stands or stood)
        else:
            self.put_notice(Gap(seq, seq, SLOW_CONSUMER, 1), stands)


def _condensed(notices: list[Queued]) -> list[Queued]:
    """The same loss, and the same state in the end, in at most two notices."""
    gaps = [queued for queued in notices if isinstance(queued[0], Gap)]
    others = [queued for queued in notices if not isinstance(queued[0], Gap)]
    return [*([_merged(gaps)] if gaps else []), *others[-1:]]


def _merged(queued: list[Queued]) -> Queued:
    gaps = [gap for gap, _, _ in queued if isinstance(gap, Gap)]
    latest = gaps[-1]
    first = min(gap.first for gap in gaps)
    last = max(gap.last for gap in gaps)
    names = latest.names if all(gap.names == latest.names for gap in gaps) else ()
    count = sum(gap.count for gap in gaps)
    stands = [position for _, _, position in queued if position is not None]
    return Gap(first, last, latest.reason, count, names), 0, stands[-1] if stands else None
