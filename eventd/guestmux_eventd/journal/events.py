"""The events in the journal.

Many at a time go through one statement: Python's sqlite3 gives up the interpreter at each step of a statement, and
has to wait for it again while the loop is busy, 5 ms each time (`sys.getswitchinterval`). A step for each row would
make a few hundred of them a second.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from zlib import crc32

from guestmux_eventd.event_log import Entry

_CHUNKS = (256, 64, 16, 4, 1)
"""Events in one statement; SQLite of 2020 takes 32,766 values, we need 5 for each."""

_ROW = "(?, ?, ?, ?, ?)"

_INSERT = {count: f"INSERT INTO event VALUES {', '.join([_ROW] * count)}" for count in _CHUNKS}  # noqa: S608

_READ = """
SELECT count(*), group_concat(crc || ' ' || seq || ' ' || time || ' ' || name || ' ' || data, char(10))
FROM (SELECT * FROM event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)
"""


class EventTable:
    """The events, oldest first."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, entries: Sequence[Entry]) -> None:
        """Write events down, none of which is there."""
        begun = 0
        for count in _CHUNKS:
            while len(entries) - begun >= count:
                values = [value for entry in entries[begun : begun + count] for value in _values(entry)]
                self._connection.execute(_INSERT[count], values)
                begun += count

    def read(self, after: int, upto: int, limit: int) -> list[Entry]:
        """The next `limit` events behind `after`, up to `upto`.

        Raises:
            ValueError: one of them is not what was written.
        """
        [(count, text)] = self._connection.execute(_READ, (after, upto, limit)).fetchall()
        entries = [_read(line) for line in text.split(b"\n")] if text else []
        if len(entries) != count:
            raise ValueError(f"{count} events behind {after} are {len(entries)}")
        for entry in entries:
            if not after < entry.seq <= upto:
                raise ValueError(f"event {entry.seq} behind {after}")
            after = entry.seq
        return entries

    def count(self) -> int:
        """How many there are; looks through the whole table."""
        return self._number("SELECT count(*) FROM event") or 0

    def last(self) -> int:
        """The highest number; 0 where there are no events."""
        return self._number("SELECT seq FROM event ORDER BY seq DESC LIMIT 1") or 0

    def oldest(self, count: int) -> int:
        """The number of the last of the `count` oldest; 0 where there are no events."""
        found = self._number("SELECT seq FROM event ORDER BY seq LIMIT 1 OFFSET ?", count - 1)
        return self.last() if found is None else found

    def older_than(self, time: int) -> int:
        """The number up to which all are older than a time, in microseconds since the epoch; 0: not one is."""
        first = self._number("SELECT seq FROM event ORDER BY seq LIMIT 1")
        young = self._number("SELECT seq FROM event WHERE time >= ? ORDER BY seq LIMIT 1", time)
        if first is None or young == first:
            return 0
        return self.last() if young is None else young - 1

    def drop(self, upto: int) -> int:
        """Remove those up to a number; returns how many there were."""
        return self._connection.execute("DELETE FROM event WHERE seq <= ?", (upto,)).rowcount

    def _number(self, query: str, *values: int) -> int | None:
        rows = self._connection.execute(query, values).fetchall()
        return int(rows[0][0]) if rows else None


def _values(entry: Entry) -> tuple[int, int, str, bytes, int]:
    name, data = entry.name, entry.data
    crc = crc32(b"%d %d %b %b" % (entry.seq, entry.time, name.encode(), data))
    return entry.seq, entry.time, name, data, crc


def _read(line: bytes) -> Entry:
    crc, _, sealed = line.partition(b" ")
    if int(crc) != crc32(sealed):
        raise ValueError(f"event {line[:64]!r}")
    seq, time, name, data = sealed.split(b" ", 3)
    return Entry(int(seq), sys.intern(name.decode()), data, int(time))
