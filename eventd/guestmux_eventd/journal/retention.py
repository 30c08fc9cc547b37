"""What goes when the journal's bounds are reached."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from guestmux_eventd.event_log import Clock, Entry
from guestmux_eventd.journal.bounds import Bounds, Pages
from guestmux_eventd.journal.events import EventTable
from guestmux_eventd.journal.gaps import GapTable
from guestmux_eventd.journal.history import History
from guestmux_eventd.journal.transactions import transaction

_STEP = 1024
"""Events that one transaction removes: what it changes has room in the log."""

_SHARE = 32
"""One part in so many goes when there is no room, so that not each batch has to look for what goes."""


class Retention:
    """Takes the oldest events out of the journal, and writes down up to where.

    Args:
        connection: to the journal.
        pages: its pages.
        bounds: what it keeps to.
        clock: for the age of events.
    """

    def __init__(self, connection: sqlite3.Connection, pages: Pages, bounds: Bounds, clock: Clock) -> None:
        self._connection = connection
        self._pages = pages
        self._bounds = bounds
        self._clock = clock
        self._events = EventTable(connection)
        self._gaps = GapTable(connection)
        self._history = History(connection)
        self._count: int | None = None

    def recount(self) -> None:
        """Count the events, which looks through all of them; done without being asked when a count is needed."""
        self._count = self._events.count()

    def added(self, count: int) -> None:
        """Events were added."""
        if self._count is not None:
            self._count += count

    def make_room(self, entries: Sequence[Entry]) -> None:
        """Have these fit in, and the gaps be few enough."""
        surplus = self._counted() + len(entries) - self._bounds.events
        if surplus > 0:
            self._drop_oldest(max(surplus, self._bounds.events // _SHARE))
        while not self._pages.room_for(entries) and self._counted():
            self._drop_oldest(max(len(entries), self._counted() // _SHARE))
        if upto := self._gaps.surplus():
            self._drop(upto)

    def drop_aged(self) -> None:
        """Take out what is too old."""
        oldest = int((self._clock() - self._bounds.seconds) * 1_000_000)
        if upto := self._events.older_than(oldest):
            self._drop(upto)

    def _counted(self) -> int:
        if self._count is None:
            self._count = self._events.count()
        return self._count

    def _drop_oldest(self, count: int) -> None:
        self._drop(self._events.oldest(count))

    def _drop(self, upto: int) -> None:
        step = 0
        while step < upto:
            step = min(upto, self._events.oldest(_STEP) or upto)
            with transaction(self._connection):
                gone = self._events.drop(step)
                self._gaps.drop(step)
                self._history.expire(step)
            self.added(-gone)
            self._pages.checkpoint_if_due()
