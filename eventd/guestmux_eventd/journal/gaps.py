"""Numbers whose events are not in the journal."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

from guestmux_eventd.journal.schema import seal, text

Reason = Literal[
    "crash", "overload", "not-stored", "expired", "slow-reader", "restart", "rolled-back", "new-epoch"
]
"""Why events are lost.

The first three are written down: eventd was killed before they were stored; there were more at once than could be
stored; the disk did not take them. `expired` is what the bounds took. The others are about a reader (`position.py`).
"""

MAX_GAPS = 1024
"""A gap needs a crash, an overload or a fault of the disk: so many are the work of weeks, or of an attacker."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers from `first` to `last`, both included, that no event will be read for."""

    first: int
    last: int
    reason: Reason


class GapTable:
    """The gaps that the journal knows of, apart from what has expired."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def last(self) -> int:
        """The highest number in a gap; 0 where there is none."""
        gaps = self._rows("ORDER BY first DESC LIMIT 1")
        return gaps[0].last if gaps else 0

    def add(self, gap: Gap) -> None:
        """Write down a gap, behind all others and all events; one with no event before it becomes part of the last."""
        latest = self._rows("ORDER BY first DESC LIMIT 1")
        if latest and latest[0].reason == gap.reason and not self._event_behind(latest[0].last):
            gap = Gap(latest[0].first, gap.last, gap.reason)
        self._connection.execute(
            "INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?)",
            (gap.first, gap.last, gap.reason, seal(gap.first, gap.last, gap.reason)),
        )

    def between(self, after: int, upto: int) -> list[Gap]:
        """The gaps with numbers above `after` and up to `upto`, cut to these."""
        found = self._rows("WHERE last > ? AND first <= ? ORDER BY first", after, upto)
        return [Gap(max(gap.first, after + 1), min(gap.last, upto), gap.reason) for gap in found]

    def drop(self, upto: int) -> None:
        """Forget those that end there, or before."""
        self._connection.execute("DELETE FROM gap WHERE last <= ?", (upto,))

    def surplus(self) -> int:
        """The number up to which everything must go for the gaps to be MAX_GAPS; 0: there is no need."""
        rows = self._rows(f"ORDER BY first DESC LIMIT 1 OFFSET {MAX_GAPS}")
        return rows[0].last if rows else 0

    def _event_behind(self, number: int) -> bool:
        return bool(
            self._connection.execute("SELECT 1 FROM event WHERE seq > ? LIMIT 1", (number,)).fetchall()
        )

    def _rows(self, clause: str, *values: int) -> list[Gap]:
        query = f"SELECT first, last, reason, crc FROM gap {clause}"  # noqa: S608  # with clauses from above
        rows = self._connection.execute(query, values).fetchall()
        return [_read(*row) for row in rows]


def _read(first: int, last: int, reason: bytes, crc: int) -> Gap:
    why: Reason = text(reason)  # type: ignore[assignment]  # the checksum says that it is what was written
    if seal(first, last, why) != crc:
        raise ValueError(f"gap {first}")
    return Gap(first, last, why)
