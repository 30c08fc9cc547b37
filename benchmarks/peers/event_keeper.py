"""Keeps events as they come at a steady rate, gives them all back, and says what that took; a process of its own.

Run as `python -m benchmarks.peers.event_keeper KIND FOLDER EVENTS`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.peers.usage import resident_mib
from guestmux_eventd.event_log import Entry, EventLog
from guestmux_eventd.journal.bounds import Bounds
from guestmux_eventd.journal.journal import Journal
from guestmux_eventd.journal.opening import JournalPlace
from guestmux_eventd.journal.store import last_of

RATE = 50_000
"""Events a second."""

CHUNK = 500
"""Events at a time: what a loop takes in at one turn."""

NAME = "SESSION_LOGIN"
NOON = time.time_ns() // 1000
MEMBERS = (
    b'"source": "verified", "session": "c1", "user": "alice", "uid": 1000, "seat": "seat0", "type": "wayland"'
)


class Keeper(Protocol):
    """What keeps events."""

    async def start(self) -> None:
        """Get ready."""

    def keep(self, entries: Sequence[Entry]) -> None:
        """Take some in, on the loop."""

    async def replay(self, last: int) -> int:
        """Give all back that have numbers up to `last`, and say how many."""

    async def close(self, last: int) -> None:
        """End."""


class JournalKeeper(Keeper):
    """Eventd's journal."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self._journal = Journal(JournalPlace(folder, "machine", Bounds(), time.time))

    async def start(self) -> None:
        """See `Keeper`."""
        await self._journal.start("0" * 32)

    def keep(self, entries: Sequence[Entry]) -> None:
        """See `Keeper`."""
        for entry in entries:
            self._journal.append(entry)

    async def replay(self, last: int) -> int:
        """See `Keeper`."""
        count = after = 0
        while items := await self._journal.read(after, last):
            count += len(items)
            after = last_of(items[-1])
        return count

    async def close(self, last: int) -> None:
        """See `Keeper`."""
        assert self._journal.fault is None
        await self._journal.close(last)


class RingKeeper(Keeper):
    """Eventd's ring in memory, which numbers and encodes an event besides."""

    def __init__(self, _folder: Path) -> None:
        self._log = EventLog("0" * 32, time.time, max_events=1 << 20)

    def keep(self, entries: Sequence[Entry]) -> None:
        """See `Keeper`."""
        for _ in entries:
            self._log.append_text(NAME, MEMBERS)

    async def replay(self, last: int) -> int:
        """See `Keeper`."""
        return sum(entry.seq <= last for entry in self._log.after(0))


class PlainKeeper(Keeper):
    """SQLite as one would use it: on the loop, a statement for each event, a transaction for each chunk."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(
            "CREATE TABLE event (seq INTEGER PRIMARY KEY, time INTEGER, name TEXT, data BLOB)"
        )

    def keep(self, entries: Sequence[Entry]) -> None:
        """See `Keeper`."""
        self._connection.execute("BEGIN")
        for entry in entries:
            row = (entry.seq, entry.time, entry.name, entry.data)
            self._connection.execute("INSERT INTO event VALUES (?, ?, ?, ?)", row)
        self._connection.execute("COMMIT")

    async def replay(self, last: int) -> int:
        """See `Keeper`."""
        rows = self._connection.execute(
            "SELECT seq, name, data, time FROM event WHERE seq <= ? ORDER BY seq", (last,)
        )
        return sum(Entry(*row).seq <= last for row in rows)


KINDS: dict[str, type[JournalKeeper | RingKeeper | PlainKeeper]] = {
    "journal": JournalKeeper,
    "ring": RingKeeper,
    "plain": PlainKeeper,
}


def measure(kind: str, folder: Path, events: int) -> dict[str, float]:
    """Have a process do it: `append` in µs an event, `replay` in events a second, `memory` in MiB for half of them."""
    command = [sys.executable, "-m", __name__, kind, str(folder), str(events)]
    said: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return said


async def _run(keeper: Keeper, events: int) -> dict[str, float]:
    await keeper.start()
    data = b'{"epoch": "%b", "seq": 100000, %b}' % (b"0" * 32, MEMBERS)
    # What it needs for a moment is needed in the first part; what it keeps needing is the difference.
    spent = await _keep(keeper, 1, events // 2, data)
    before = resident_mib(os.getpid())
    spent += await _keep(keeper, events // 2 + 1, events, data)
    after = resident_mib(os.getpid())
    await keeper.replay(1)
    begun = time.perf_counter()
    assert await keeper.replay(events) == events
    replayed = time.perf_counter() - begun
    await keeper.close(events)
    return {"append": spent / events * 1e6, "replay": events / replayed, "memory": after - before}


async def _keep(keeper: Keeper, first: int, last: int, data: bytes) -> float:
    begun, spent = time.perf_counter(), 0.0
    for number in range(first, last + 1, CHUNK):
        entries = [Entry(seq, NAME, data, NOON) for seq in range(number, min(number + CHUNK, last + 1))]
        started = time.perf_counter()
        keeper.keep(entries)
        spent += time.perf_counter() - started
        await asyncio.sleep(max(begun + (number - first + CHUNK) / RATE - time.perf_counter(), 0))
    return spent


if __name__ == "__main__":
    kind, folder, events = sys.argv[1:]
    print(json.dumps(asyncio.run(_run(KINDS[kind](Path(folder)), int(events)))))
