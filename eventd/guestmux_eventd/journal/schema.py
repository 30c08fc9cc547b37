"""The journal as SQLite has it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

from guestmux_eventd.journal.faults import damaged

APPLICATION_ID = 0x676D7578
"""`gmux`: what `file` knows the journal by."""

VERSION = 1
"""Of the tables. There is no older one; any other is put aside like a file that is no journal."""

PAGE_BYTES = 4096

CACHE_KIB = 256
"""SQLite would take 2 MB; who appends at the end and reads once through needs a path down the tree."""

TABLES = (
    "CREATE TABLE history (machine TEXT NOT NULL, expired INTEGER NOT NULL, crc INTEGER NOT NULL)",
    """CREATE TABLE run (
        id INTEGER PRIMARY KEY, epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER, bound INTEGER NOT NULL,
        crc INTEGER NOT NULL
    )""",
    """CREATE TABLE gap (
        first INTEGER PRIMARY KEY, last INTEGER NOT NULL, reason TEXT NOT NULL, crc INTEGER NOT NULL
    )""",
    """CREATE TABLE event (
        seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL
    )""",
    "CREATE TABLE told (key TEXT PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID",
)
"""Each row has a checksum, which SQLite has none of: a bit that the disk turned over must not become an event."""

_SETTINGS = (
    # No memory is shared with other processes then: a page of it that must be written would stop whoever
    # touches it while file systems are frozen. And a second eventd is told at once that the journal is in use.
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
    "synchronous = NORMAL",
    f"cache_size = -{CACHE_KIB}",
    "mmap_size = 0",
    "temp_store = MEMORY",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    # The store does it, and hears of what goes wrong.
    "wal_autocheckpoint = 0",
)


_NEW = (f"page_size = {PAGE_BYTES}", "auto_vacuum = INCREMENTAL")
"""Of an empty file, before all others. Set again they would be written again, for which there may be no room."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal, which no other process has open from here on. Text comes as bytes.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=0, isolation_level=None, cached_statements=32
    )
    connection.text_factory = bytes
    try:
        for setting in (*(() if path.stat().st_size else _NEW), *_SETTINGS):
            connection.execute(f"PRAGMA {setting}").fetchall()
        # Whatever is locked is locked now.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nothing was ever made in it: it is new, or whoever made it was killed at once."""
    return not _tables(connection) and not _number(connection, "application_id")


def create(connection: sqlite3.Connection, machine: str) -> None:
    """Make the tables. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        connection.execute(table)
    connection.execute("INSERT INTO history VALUES (?, 0, ?)", (machine, seal(machine, 0)))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """See that it is a journal of ours.

    Raises:
        JournalFault: it is none.
        sqlite3.Error: it cannot be read.
    """
    if (_number(connection, "application_id"), _number(connection, "user_version")) != (
        APPLICATION_ID,
        VERSION,
    ):
        raise damaged(path, "no journal of this version")
    if _tables(connection) != {table.encode() for table in TABLES}:
        raise damaged(path, "other tables")


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Look through the whole file, some 2 ms for a megabyte, for what is wrong with its structure.

    Raises:
        JournalFault: something is.
        sqlite3.Error: it cannot be read.
    """
    [(told,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if told != b"ok":
        raise damaged(path, told.decode(errors="replace"))


def seal(*values: int | str | None) -> int:
    """The checksum of a row."""
    return crc32(" ".join(map(str, values)).encode())


def text(value: object) -> str:
    """A text, as it was written.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, bytes):
        raise ValueError(f"{value!r} is no text")  # noqa: TRY004  # what is wrong is the file, not the caller
    return value.decode()


def _number(connection: sqlite3.Connection, name: str) -> int:
    [(number,)] = connection.execute(f"PRAGMA {name}").fetchall()
    return int(number)


def _tables(connection: sqlite3.Connection) -> set[bytes]:
    return {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
