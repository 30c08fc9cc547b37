"""What the journal says of itself as a whole."""

from __future__ import annotations

import sqlite3

from guestmux_eventd.journal.schema import seal, text


class History:
    """Its one row."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def machine(self) -> str:
        """The machine that it is of."""
        return self._read()[0]

    def expired(self) -> int:
        """The number up to which the bounds took everything; 0: they took nothing."""
        return self._read()[1]

    def expire(self, upto: int) -> None:
        """Write down that everything up to a number is gone."""
        machine, expired = self._read()
        upto = max(upto, expired)
        self._connection.execute("UPDATE history SET expired = ?, crc = ?", (upto, seal(machine, upto)))

    def _read(self) -> tuple[str, int]:
        [(machine, expired, crc)] = self._connection.execute(
            "SELECT machine, expired, crc FROM history"
        ).fetchall()
        if seal(name := text(machine), expired) != crc:
            raise ValueError("history")
        return name, expired
