"""What the journal has when all is over: the whole story, as who comes last would read it from its beginning."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from guestmux_eventd.daemon import machine_id
from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal.bounds import Bounds
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.opening import JournalPlace
from guestmux_eventd.journal.store import JournalStore, last_of
from guestmux_eventd.told import Told, ToldAgent, ToldSession
from tests.chaos.records import Said
from tests.support.journals import copied


class Tails:
    """Numbers of events that a killed eventd may have told, and had no time to store: it does not remember them.

    Args:
        intervals: the first and the last of each, in order.
    """

    def __init__(self, intervals: Sequence[tuple[int, int]] = ()) -> None:
        self._intervals = intervals

    def has(self, seq: int) -> bool:
        """Whether a number is in one."""
        index = bisect_left(self._intervals, seq, key=lambda each: each[1])
        return index < len(self._intervals) and self._intervals[index][0] <= seq


@dataclass(frozen=True, slots=True)
class Stored:
    """The journal.

    Attributes:
        events: all of them.
        tails: what is between.
        sessions: those that the next run would take for told.
        agents: likewise, session and name.
    """

    events: Sequence[Said] = ()
    tails: Tails = field(default_factory=Tails)
    sessions: Sequence[ToldSession] = ()
    agents: Sequence[tuple[str, str]] = ()


def read_stored(directory: Path, copy: Path) -> Stored:
    """Read a journal whose eventd is dead.

    Args:
        directory: of the journal, which is left as it is.
        copy: where a copy is made.
    """
    store = JournalPlace(copied(directory, copy), machine_id(), Bounds(), time.time).open()
    try:
        items = list(_items(store))
        told = Told()
        told.load(store.told)
    finally:
        store.close()
    tails = [(item.first, item.last) for item in items if isinstance(item, Gap) and item.reason == "crash"]
    events = [_said(item) for item in items if isinstance(item, Entry)]
    agents = [(each.session, each.agent) for each in told.of(ToldAgent)]
    return Stored(events, Tails(tails), told.of(ToldSession), agents)


def _items(store: JournalStore) -> Iterator[Entry | Gap]:
    after = 0
    while items := store.read(after, 1 << 53, 512):
        yield from items
        after = last_of(items[-1])


def _said(entry: Entry) -> Said:
    data = msgspec.json.decode(entry.data)
    epoch, seq = data.pop("epoch"), data.pop("seq")
    at = entry.time / 1_000_000
    return Said(at, epoch, seq, entry.name, data, at)
