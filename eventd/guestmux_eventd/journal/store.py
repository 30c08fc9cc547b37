"""The journal: events on disk, oldest out first, and a name for whatever is not there. For one thread: it blocks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import groupby

from guestmux_eventd.event_log import Clock, Entry
from guestmux_eventd.journal.bounds import Bounds, Pages, row_bytes
from guestmux_eventd.journal.events import EventTable
from guestmux_eventd.journal.faults import damaged, from_sqlite
from guestmux_eventd.journal.files import JournalFiles
from guestmux_eventd.journal.gaps import Gap, GapTable
from guestmux_eventd.journal.history import History
from guestmux_eventd.journal.retention import Retention
from guestmux_eventd.journal.runs import RESERVED, Run, RunTable
from guestmux_eventd.journal.schema import check_pages
from guestmux_eventd.journal.told import ToldTable
from guestmux_eventd.journal.transactions import lasting_transaction, transaction
from guestmux_eventd.told import Row

Item = Entry | Gap
"""What is written into the journal and read from it, in the order of the numbers."""

MAX_TRANSACTION = 4096
"""Events of one transaction: its cost is divided by so many."""


class JournalStore:
    """A journal that is open; `opening.py` opens it.

    Every method raises JournalFault. What it was to do is undone then, `append` up to one transaction. After a fault of
    the kind `full` the store can still be read, and tried again; after any other it is to be closed.

    Args:
        files: its files.
        connection: to them.
        bounds: what it keeps to.
        clock: for the age of events.
    """

    def __init__(
        self, files: JournalFiles, connection: sqlite3.Connection, bounds: Bounds, clock: Clock
    ) -> None:
        self._files = files
        self._connection = connection
        self._bounds = bounds
        self._history = History(connection)
        self._events = EventTable(connection)
        self._gaps = GapTable(connection)
        self._runs = RunTable(connection)
        self._told = ToldTable(connection)
        self._pages = Pages(connection, files, bounds)
        self._retention = Retention(connection, self._pages, bounds, clock)
        self._run: Run | None = None
        self._reached = 0

    def __repr__(self) -> str:
        return f"<JournalStore {self._files.path} {self._run}>"

    @property
    def machine(self) -> str:
        """The machine that it was begun on."""
        with self._edge():
            return self._history.machine()

    @property
    def expired(self) -> int:
        """The number up to which the bounds took everything; 0: they took nothing."""
        with self._edge():
            return self._history.expired()

    @property
    def runs(self) -> tuple[Run, ...]:
        """Those that are remembered, the oldest first."""
        with self._edge():
            return self._runs.all()

    @property
    def told(self) -> list[Row]:
        """What hosts were told that still holds, by the events that were stored and by `stand`."""
        with self._edge():
            return self._told.all()

    @property
    def next(self) -> int:
        """The number behind all that were ever used, as far as the journal knows: the next run's first."""
        with self._edge():
            latest = self._runs.latest()
            return max(self._used(), self._history.expired(), latest.bound if latest else 0) + 1

    def settle(self) -> None:
        """Bring into the file what a crash has left in its log, and the file below a bound that was lowered."""
        with self._edge():
            self._pages.checkpoint()
            if sum(len(key) + len(data) for key, data in self._told.all()) > self._bounds.told_bytes:
                # The bound was lowered: the sessions are told again.
                with transaction(self._connection):
                    self._told.replace(())
            surplus = self._pages.limit()
            while surplus:
                self._retention.make_room(())
                self._pages.shrink()
                before, surplus = surplus, self._pages.limit()
                if surplus >= before:
                    raise damaged(self._files.path, "large, and with nothing in it")

    def check(self) -> None:
        """Look through the whole file for damage, some 2 ms for a megabyte."""
        with self._edge():
            check_pages(self._connection, self._files.path)
            self._retention.recount()

    def begin(self, epoch: str, first: int, reached: int = 0) -> None:
        """Begin a run, or go on with it where the journal was closed meanwhile.

        Args:
            epoch: its name, which no other run has had.
            first: its first number; `next` at least, unless it is gone on with.
            reached: the last number of the run that was said to be stored. What the journal does not have of these
                becomes a gap.
        """
        with self._edge(), lasting_transaction(self._connection):
            run = self._runs.latest()
            if run is None or run.epoch != epoch:
                self._close_crashed(run, first - 1)
                run = Run(epoch, first, None, max(first - 1, reached) + RESERVED)
                self._runs.put(run)
            used = self._used()
            if reached > used:
                self._gaps.add(Gap(used + 1, reached, "not-stored"))
        self._run, self._reached = run, max(used, reached)

    def reserve(self, number: int) -> None:
        """See that the run may use numbers well beyond one that it has used."""
        if number > self._begun().bound - RESERVED // 2:
            with self._edge(), lasting_transaction(self._connection):
                run = replace(self._begun(), bound=number + RESERVED)
                self._runs.put(run)
            self._run = run

    def end(self, last: int) -> None:
        """End the run cleanly.

        Args:
            last: the last number that it used, stored or not.
        """
        with self._edge(), lasting_transaction(self._connection):
            last = max(last, self._used())
            self._runs.put(replace(self._begun(), last=last, bound=last))
        self._run = None

    def append(self, items: Sequence[Item]) -> None:
        """Write down what happened, in the order of the numbers, which are above all before; others are stored already.

        An event that is too large for a transaction becomes a gap. After a fault, append all of them again.
        """
        self._files.check_present()
        with self._edge():
            for batch in self._batches(items):
                self.reserve(last_of(batch[-1]))
                self._retention.make_room([item for item in batch if isinstance(item, Entry)])
                self._write(batch)
            self._retention.drop_aged()

    def stand(self, rows: Sequence[Row]) -> None:
        """Write down what hosts were told that still holds, where not all the events are stored that say so."""
        with self._edge():
            if dict(self._told.all()) != dict(rows):
                with transaction(self._connection):
                    self._told.replace(rows)
                self._pages.checkpoint_if_due()

    def read(self, after: int, upto: int, limit: int) -> list[Item]:
        """The next events with numbers above `after` and up to `upto`, `limit` at most, and the gaps between them.

        Returns:
            in the order of the numbers; a gap has only numbers that were asked for. Nothing: there is no more.
        """
        with self._edge():
            self._retention.drop_aged()
            items: list[Item] = []
            expired = min(self._history.expired(), upto)
            if after < expired:
                items.append(Gap(after + 1, expired, "expired"))
                after = expired
            entries = self._events.read(after, upto, limit)
            end = entries[-1].seq if len(entries) == limit else upto
            items += entries
            if gaps := self._gaps.between(after, end):
                items = sorted([*items, *gaps], key=last_of)
            return items

    def close(self) -> None:
        """Let go of it. A run that was not ended counts as crashed if nobody goes on with it."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _close_crashed(self, run: Run | None, bound: int) -> None:
        if run is None or run.has_ended:
            return
        last = self._used()
        # It was promised more numbers than it can have used where this very process knows better.
        bound = min(run.bound, bound)
        self._runs.put(replace(run, last=last, bound=max(bound, last)))
        if bound > last:
            self._gaps.add(Gap(last + 1, bound, "crash"))

    def _begun(self) -> Run:
        if self._run is None:
            raise RuntimeError("no run was begun")
        return self._run

    def _used(self) -> int:
        """The last number that the latest run is known to have used."""
        latest = self._runs.latest()
        return max(latest.first - 1 if latest else 0, self._events.last(), self._gaps.last())

    def _batches(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        batch: list[Item] = []
        size = 0
        for item in items:
            if last_of(item) <= self._reached:
                continue
            bytes_more = row_bytes(item) if isinstance(item, Entry) else 0
            if bytes_more > self._bounds.transaction_bytes:
                item, bytes_more = Gap(last_of(item), last_of(item), "not-stored"), 0
            if len(batch) == MAX_TRANSACTION or size + bytes_more > self._bounds.transaction_bytes:
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += bytes_more
        if batch:
            yield batch

    def _write(self, batch: Sequence[Item]) -> None:
        with transaction(self._connection):
            for is_event, group in groupby(batch, lambda item: isinstance(item, Entry)):
                if is_event:
                    self._events.add([item for item in group if isinstance(item, Entry)])
                else:
                    for item in group:
                        assert isinstance(item, Gap)
                        self._gaps.add(item)
            self._told.change(
                dict(item.change for item in batch if isinstance(item, Entry) and item.change is not None)
            )
        self._reached = last_of(batch[-1])
        self._retention.added(sum(isinstance(item, Entry) for item in batch))
        self._pages.checkpoint_if_due()

    @contextmanager
    def _edge(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise from_sqlite(error, self._files.path) from error
        except ValueError as error:
            # A row that can be read, but is not what was written: another type, another checksum.
            raise damaged(self._files.path, str(error)) from error


def last_of(item: Item) -> int:
    """The number up to which it tells."""
    return item.seq if isinstance(item, Entry) else item.last
