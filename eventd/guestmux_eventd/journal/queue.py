"""The way from the loop to the thread that writes: events, and what is to be done between two of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.store import Item

MAX_QUEUED = 65_536
"""Events that wait for the thread: more than a second of 50,000 a second, as long as a slow disk's flush."""

MAX_QUEUED_BYTES = 8 << 20
"""Bytes of their data, where they are large."""


class Order:
    """Something that the thread does when it has stored all that was queued before.

    Args:
        work: what.

    Attributes:
        result: of it.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self.result: Future[Any] = Future()
        self._work = work

    def run(self) -> None:
        """Do it, if anybody still wants it."""
        if not self.result.set_running_or_notify_cancel():
            return
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001  # whatever it is, who ordered it gets it
            self.result.set_exception(error)
        else:
            self.result.set_result(result)


class JournalQueue:
    """A bounded queue with one reader, the thread, and one writer, the loop, which never waits.

    Events that find it full become a gap, which is queued when there is room again, or with the next order.
    """

    def __init__(self) -> None:
        self._waiting: deque[Item | Order] = deque()
        self._more = threading.Event()
        self._hurry = threading.Event()
        self._asleep = False
        self._missed: Gap | None = None
        # Each is changed by one side alone.
        self._bytes_in = 0
        self._bytes_out = 0

    def __repr__(self) -> str:
        return f"<JournalQueue {len(self._waiting)}>"

    def put(self, entry: Entry) -> None:
        """Queue an event."""
        waiting = self._waiting
        size = len(entry.data)
        if (
            self._missed is None
            and len(waiting) < MAX_QUEUED
            and self._bytes_in - self._bytes_out + size <= MAX_QUEUED_BYTES
        ):
            self._bytes_in += size
            waiting.append(entry)
        else:
            self._put_where_full(entry)
        if self._asleep:
            self._asleep = False
            self._more.set()

    def order(self, order: Order) -> None:
        """Queue an order, full or not; the thread does not wait for more before it."""
        self._put_missed()
        self._waiting.append(order)
        self.hurry()

    def hurry(self) -> None:
        """Have the thread look around."""
        self._hurry.set()
        self._more.set()

    def wait(self, patience: float | None, batch_seconds: float) -> None:
        """The thread's: return when there is something, or after `patience` seconds; events gather for a moment."""
        self._more.clear()
        self._asleep = True
        if not self._waiting:
            self._more.wait(patience)
        self._asleep = False
        if self._waiting:
            self._hurry.wait(batch_seconds)
        self._hurry.clear()

    def doze(self) -> None:
        """The thread's: return at the next `hurry`."""
        self._hurry.wait()
        self._hurry.clear()

    def take(self, limit: int) -> tuple[list[Item], Order | None]:
        """The thread's: the next items, and the order behind them."""
        items: list[Item] = []
        while self._waiting and len(items) < limit:
            first = self._waiting.popleft()
            if isinstance(first, Order):
                return items, first
            items.append(first)
            if isinstance(first, Entry):
                self._bytes_out += len(first.data)
        return items, None

    def _put_where_full(self, entry: Entry) -> None:
        if self._missed is None:
            self._missed = Gap(entry.seq, entry.seq, "overload")
        elif (
            len(self._waiting) < MAX_QUEUED // 2 and self._bytes_in - self._bytes_out < MAX_QUEUED_BYTES // 2
        ):
            # Not before: a queue that stays full would have a gap for every other event.
            self._put_missed()
            self.put(entry)
        else:
            self._missed = Gap(self._missed.first, entry.seq, "overload")

    def _put_missed(self) -> None:
        if self._missed is not None:
            self._waiting.append(self._missed)
            self._missed = None
