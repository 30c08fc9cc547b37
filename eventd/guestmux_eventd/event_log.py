"""The journal of events: numbered, bounded, read by each subscription at its own pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from guestmux_eventd.told import Change, Told
from guestmux_protocol.events import EVERY_ONE
from guestmux_protocol.json_text import encode
from guestmux_protocol.messages import event_line

MAX_EVENTS = 65_536
"""Events kept for readers that fell behind: some 10 s of the fastest stream that D-Bus carries."""

MAX_BYTES = 32 * 1024 * 1024
"""Bytes of kept events, about as they stand on the wire."""

LINE_BYTES = 80
"""What stands around name and data in an event's line."""

Clock = Callable[[], float]
"""Gives the wall-clock time in seconds since the epoch."""


class Entry:
    """An event, in the parts that every dialect makes its own form of.

    Attributes:
        seq: its number.
        name: its name.
        data: its data, JSON text in ASCII without a newline.
        time: microseconds since the epoch.
        change: what it changes in what hosts were told that still holds; None: nothing.
        size: bytes, as they are counted against the log's bound.
    """

    __slots__ = ("change", "data", "name", "seq", "size", "time")

    def __init__(self, seq: int, name: str, data: bytes, time: int, change: Change | None = None) -> None:
        self.seq = seq
        self.name = name
        self.data = data
        self.time = time
        self.change = change
        self.size = len(data) + len(name) + LINE_BYTES

    def with_member(self, member: bytes) -> Entry:
        """The same event with one more member of its data, before all others; `"name": value`."""
        return Entry(self.seq, self.name, b"{%b, %b" % (member, self.data[1:]), self.time)

    def line(self) -> bytes:
        """The event as QMP has it."""
        return event_line(self.name, self.data, self.time)


class Store(Protocol):
    """Where events are that are to survive; see guestmux_eventd.journal."""

    def append(self, entry: Entry) -> None:
        """Store an event soon. Never waits."""

    def numbered(self, seq: int) -> None:
        """Tell of an event that is not stored. Never waits."""


class EventLog:
    """A ring of the latest events. Slow readers lose the oldest; whoever appends never waits.

    Args:
        epoch: the run of eventd that the numbers belong to.
        clock: where the events' timestamps come from.
        max_events: the ring's bound in events.
        max_bytes: the ring's bound in bytes.

    Attributes:
        first: the oldest number still kept; one more than `last` when nothing is.
        last: the number of the latest event.
    """

    def __init__(
        self, epoch: str, clock: Clock, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._clock = clock
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: dict[int, Entry] = {}
        self._listeners: list[Callable[[], None]] = []
        self._store: Store | None = None
        self._told: Told | None = None
        self.begin(epoch, 1)

    def __repr__(self) -> str:
        return f"<EventLog {self.epoch} {self.first}..{self.last}>"

    def begin(self, epoch: str, first: int, *, forget: bool = True) -> None:
        """Give out the numbers of another run from now on.

        Args:
            epoch: its name.
            first: its first number; `last + 1` where nothing is forgotten.
            forget: whether what was kept goes.
        """
        self.epoch = epoch
        self._head = encode({"epoch": epoch})[:-1]
        if forget:
            self._entries.clear()
            self._bytes, self.first = 0, first
        self.last = first - 1

    def store_in(self, store: Store, told: Told | None = None) -> None:
        """Have the events of EVERY_ONE stored, too, and what of eventd's own still holds remembered."""
        self._store = store
        self._told = told

    def append(self, name: str, data: dict[str, Any], source: str) -> int:
        """Number an event, keep it, and wake the readers.

        Args:
            name: the event's name.
            data: its data; JSON values.
            source: `verified` or `claimed`.

        Returns:
            its number.

        Raises:
            JsonError: the data is no JSON.
        """
        change = self._told.take(name, data, source) if self._told is not None else None
        seq = self.append_text(name, encode({"source": source, **data})[1:-1], change)
        self.wake()
        return seq

    def append_text(self, name: str, members: bytes, change: Change | None = None) -> int:
        """Number an event and keep it; the readers are not woken, so that many can be taken in at once.

        Args:
            name: the event's name.
            members: the data from its `source` on, JSON text as `Entry.data` without the braces.
            change: see `Entry`.

        Returns:
            its number.
        """
        self.last = seq = self.last + 1
        data = b'%b, "seq": %d, %b}' % (self._head, seq, members)
        self._entries[seq] = entry = Entry(seq, name, data, int(self._clock() * 1_000_000), change)
        self._bytes += entry.size
        if self._store is not None:
            if name in EVERY_ONE:
                self._store.append(entry)
            else:
                self._store.numbered(seq)
        while len(self._entries) > self._max_events or self._bytes > self._max_bytes:
            self._bytes -= self._entries.pop(self.first).size
            self.first += 1
        return seq

    def wake(self) -> None:
        """Tell the readers that there is more."""
        for wake in self._listeners:
            wake()

    def unnumbered(self, name: str, data: dict[str, Any], epoch: str, seq: int) -> Entry:
        """An event about the stream itself, which takes no number.

        Args:
            name: its name.
            data: its data; JSON values.
            epoch: the run that `seq` belongs to.
            seq: where in the stream it stands.
        """
        text = encode({"epoch": epoch, "seq": seq, **data})
        return Entry(seq, name, text, int(self._clock() * 1_000_000))

    def after(self, seq: int) -> Iterator[Entry]:
        """The kept events with a higher number, oldest first."""
        return self.between(seq, self.last)

    def between(self, after: int, upto: int) -> Iterator[Entry]:
        """The kept events with numbers above `after` and up to `upto`, oldest first."""
        for number in range(max(after + 1, self.first), min(upto, self.last) + 1):
            yield self._entries[number]

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each event; returns what ends it."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)
