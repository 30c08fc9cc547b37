"""How much the journal may be, and how that is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.files import JournalFiles
from guestmux_eventd.journal.schema import PAGE_BYTES

MIN_BYTES = 1 << 20
"""The least bound: beside the events there are the runs and the gaps, a hundred KiB at most."""

_WAL_SHARE = 4
"""One part in so many of the bound is for the write-ahead log."""

_CHECKPOINT_SHARE = 8
"""The log is brought into the file when it has grown to one part in so many."""

_TRANSACTION_SHARE = 16
"""Events of one transaction are one part in so many: with all else that it changes, the log keeps to its share."""

_TOLD_SHARE = 32
"""What was told and still holds is one part in so many: 80 sessions of the least bound, thousands of the usual one."""

_TOLD_FILL = 2
"""Pages that its rows take at most, of those that they would fill: SQLite has them two thirds full."""

_ROW_BYTES = 32
"""What stands around name and data in a row: numbers, time, checksum, lengths."""

_SPARE_PAGES = 8
"""For the rows of a run and a gap, and the tree above the events."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the journal keeps to; the oldest events go first.

    Args:
        events: at most so many.
        bytes: of its file and the file's log together; MIN_BYTES at least.
        seconds: the age at which an event goes.
    """

    events: int = 1_000_000
    bytes: int = 64 << 20
    seconds: float = 30 * 86400.0

    def __post_init__(self) -> None:
        if self.bytes < MIN_BYTES or self.events < 1 or self.seconds <= 0:
            raise ValueError(f"{self}: at least {MIN_BYTES} bytes, one event and a positive age")

    @property
    def pages(self) -> int:
        """Pages of the file itself."""
        return (self.bytes - self.bytes // _WAL_SHARE) // PAGE_BYTES

    @property
    def checkpoint_bytes(self) -> int:
        """Bytes of the log at which it is brought into the file."""
        return self.bytes // _CHECKPOINT_SHARE

    @property
    def told_bytes(self) -> int:
        """Bytes of what was told and still holds."""
        return self.bytes // _TOLD_SHARE

    @property
    def told_pages(self) -> int:
        """Pages that are kept for it."""
        return self.told_bytes * _TOLD_FILL // PAGE_BYTES

    @property
    def transaction_bytes(self) -> int:
        """Bytes of events that are written at once; a single event that is larger is not kept."""
        return self.bytes // _TRANSACTION_SHARE


def row_bytes(entry: Entry) -> int:
    """Bytes of an event in the file."""
    return len(entry.data) + len(entry.name) + _ROW_BYTES


def pages_for(entries: Sequence[Entry]) -> int:
    """Pages that these events take at most."""
    sizes = [row_bytes(entry) for entry in entries]
    small = sum(size for size in sizes if size <= PAGE_BYTES // 4)
    # A larger one may have a page to itself, or several and the rest of one.
    large = sum(size // PAGE_BYTES + 2 for size in sizes if size > PAGE_BYTES // 4)
    return small * 4 // (3 * PAGE_BYTES) + large + _SPARE_PAGES


class Pages:
    """The pages of the file and its log."""

    def __init__(self, connection: sqlite3.Connection, files: JournalFiles, bounds: Bounds) -> None:
        self._connection = connection
        self._files = files
        self._bounds = bounds

    def room_for(self, entries: Sequence[Entry]) -> bool:
        """Whether these events fit into the bound."""
        return self._used() + self._bounds.told_pages + pages_for(entries) <= self._bounds.pages

    def limit(self) -> int:
        """Have SQLite itself keep to the bound; returns how many pages the file is above it, for `shrink`."""
        [(granted,)] = self._connection.execute(f"PRAGMA max_page_count = {self._bounds.pages}").fetchall()
        return max(int(granted) - self._bounds.pages, 0)

    def shrink(self) -> None:
        """Give back some of what is free."""
        # A page that is moved changes two more: of those above it, and of those that say where it is.
        pages = self._bounds.checkpoint_bytes // (3 * PAGE_BYTES)
        # `execute` would stop at the first page: each is a row, without columns.
        self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")
        self.checkpoint()

    def checkpoint_if_due(self) -> None:
        """Bring the log into the file when it has grown."""
        if self._files.log_size() >= self._bounds.checkpoint_bytes:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Bring the log into the file. Raises sqlite3.Error, JournalFault."""
        [(busy, *_)] = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise JournalFault("locked", f"{self._files.path}: somebody reads it")

    def _used(self) -> int:
        [(used,)] = self._connection.execute(
            "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
        ).fetchall()
        return int(used)
