"""What can be wrong with the journal, in words for whoever runs the guest."""

from __future__ import annotations

import sqlite3
from typing import Literal

from guestmux_protocol.errors import GuestmuxError

Kind = Literal["absent", "owner", "read-only", "locked", "corrupt", "full", "io", "numbers"]
"""What is wrong.

No directory; somebody else's, or closed to us; read-only; in use; not a journal (any more); no room; the disk; it has
numbers of this run already.
"""

_KINDS: dict[int, Kind] = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    sqlite3.SQLITE_SCHEMA: "corrupt",
    # A table or a column is missing, or a value is not what the schema says.
    sqlite3.SQLITE_ERROR: "corrupt",
    sqlite3.SQLITE_CONSTRAINT: "corrupt",
    sqlite3.SQLITE_MISMATCH: "corrupt",
    sqlite3.SQLITE_TOOBIG: "corrupt",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_PERM: "read-only",
    sqlite3.SQLITE_FULL: "full",
}

_PRIMARY = 0xFF
"""The part of an extended result code that says what kind it is (sqlite.org/rescode.html)."""

_TEXTS: dict[Kind, str] = {
    "locked": "another process has it open",
    "corrupt": "damaged",
    "full": "no room left",
    "read-only": "read-only",
}


class JournalFault(GuestmuxError):
    """The journal cannot be used now.

    Args:
        kind: what is wrong.
        desc: the same in words, with the path.
    """

    def __init__(self, kind: Kind, desc: str) -> None:
        super().__init__(desc)
        self.kind: Kind = kind


def from_sqlite(error: sqlite3.Error, path: object) -> JournalFault:
    """Say what an error of SQLite's means; what is not known is taken for the disk's."""
    code = getattr(error, "sqlite_errorcode", None)
    kind: Kind = "io" if code is None else _KINDS.get(code & _PRIMARY, "io")
    return JournalFault(kind, f"{path}: {_TEXTS.get(kind, 'cannot be used')} ({error})")


def damaged(path: object, what: str) -> JournalFault:
    """The file can be read, and is not what was written."""
    return JournalFault("corrupt", f"{path}: damaged ({what})")
