"""The runs of eventd that a journal has seen: each has an epoch of its own, all have one line of numbers."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from guestmux_eventd.journal.schema import seal, text

MAX_RUNS = 1024
"""Starts of eventd that are remembered. A host that has slept through more is told that everything may be gone."""

RESERVED = 1 << 20
"""Numbers that a run is given at a time.

Whoever starts after a crash has to begin behind every number that was ever used, and most are not stored. More are
asked for when half of them are left: 10 s of 50,000 events a second.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Eventd from a start to its end, or a part of that: numbers that belong to one epoch.

    Attributes:
        epoch: its name.
        first: its first number.
        last: the last number that it is known to have used, `first - 1` where there is none; None: it goes on.
        bound: the last number that it may have used: more than `last` where it was killed.
    """

    epoch: str
    first: int
    last: int | None
    bound: int

    @property
    def has_ended(self) -> bool:
        """Whether it gets no more events."""
        return self.last is not None


class RunTable:
    """The runs in the journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> tuple[Run, ...]:
        """All that are remembered, the oldest first."""
        return self._rows("ORDER BY id")

    def latest(self) -> Run | None:
        """The one that goes on, or went on until a crash, or ended last."""
        runs = self._rows("ORDER BY id DESC LIMIT 1")
        return runs[0] if runs else None

    def put(self, run: Run) -> None:
        """Write one down, and forget the oldest where there are too many."""
        values = (run.first, run.last, run.bound, _seal(run), run.epoch)
        changed = self._connection.execute(
            "UPDATE run SET first = ?, last = ?, bound = ?, crc = ? WHERE epoch = ?", values
        )
        if not changed.rowcount:
            self._connection.execute(
                "INSERT INTO run (first, last, bound, crc, epoch) VALUES (?, ?, ?, ?, ?)", values
            )
            self._connection.execute(
                "DELETE FROM run WHERE id <= (SELECT id FROM run ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (MAX_RUNS,),
            )

    def _rows(self, clause: str) -> tuple[Run, ...]:
        query = f"SELECT epoch, first, last, bound, crc FROM run {clause}"  # noqa: S608  # with clauses from above
        return tuple(_read(*row) for row in self._connection.execute(query).fetchall())


def _read(epoch: bytes, first: int, last: int | None, bound: int, crc: int) -> Run:
    run = Run(text(epoch), first, last, bound)
    if _seal(run) != crc:
        raise ValueError(f"run {run.epoch}")
    return run


def _seal(run: Run) -> int:
    return seal(run.epoch, run.first, run.last, run.bound)
