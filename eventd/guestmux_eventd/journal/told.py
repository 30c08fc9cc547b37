"""What hosts were told that still holds (`guestmux_eventd.told`), as the journal has it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from zlib import crc32

from guestmux_eventd.journal.schema import text
from guestmux_eventd.told import Row

_CHUNKS = (64, 8, 1)
"""Rows in one statement, as of events (`events.py`)."""


class ToldTable:
    """The rows. Each is changed in the transaction in which the event is stored that changes it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> list[Row]:
        """All of them.

        Raises:
            ValueError: one is not what was written.
        """
        return [_read(*row) for row in self._connection.execute("SELECT key, data, crc FROM told").fetchall()]

    def change(self, changes: Mapping[str, bytes | None]) -> None:
        """Change rows; None: it goes."""
        gone = [key for key, data in changes.items() if data is None]
        self._in_chunks("DELETE FROM told WHERE key IN", "?", [(key,) for key in gone])
        rows = [(key, data, _seal(key, data)) for key, data in changes.items() if data is not None]
        self._in_chunks("INSERT OR REPLACE INTO told VALUES", "(?, ?, ?)", rows)

    def replace(self, rows: Iterable[Row]) -> None:
        """Have these rows and no others."""
        self._connection.execute("DELETE FROM told")
        self.change(dict(rows))

    def _in_chunks(self, statement: str, place: str, rows: Sequence[tuple[object, ...]]) -> None:
        begun = 0
        for count in _CHUNKS:
            places = ", ".join([place] * count)
            query = f"{statement} {places}" if place != "?" else f"{statement} ({places})"
            while len(rows) - begun >= count:
                self._connection.execute(query, list(chain.from_iterable(rows[begun : begun + count])))
                begun += count


def _read(key: bytes, data: bytes, crc: int) -> Row:
    name = text(key)
    if not isinstance(data, bytes) or _seal(name, data) != crc:
        raise ValueError(f"told of {name}")
    return name, data


def _seal(key: str, data: bytes) -> int:
    return crc32(b"%b %b" % (key.encode(), data))
