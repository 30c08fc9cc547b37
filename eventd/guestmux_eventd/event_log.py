"""The journal of events: numbered, bounded, read by each subscription at its own pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from guestmux_protocol.messages import Event, encode_event

MAX_EVENTS = 65_536
"""Events kept for readers that fell behind: some 10 s of the fastest stream that D-Bus carries."""

MAX_BYTES = 32 * 1024 * 1024
"""Bytes of kept events, as they stand on the wire."""

Clock = Callable[[], float]
"""Gives the wall-clock time in seconds since the epoch."""


class Entry:
    """A numbered event, in the form in which it goes to every host."""

    __slots__ = ("line", "name", "seq")

    def __init__(self, seq: int, name: str, line: bytes) -> None:
        self.seq = seq
        self.name = name
        self.line = line


class EventLog:
    """A ring of the latest events. Slow readers lose the oldest; whoever appends never waits.

    Args:
        epoch: the journal's identity.
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
        self.epoch = epoch
        self.first = 1
        self.last = 0
        self._clock = clock
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: dict[int, Entry] = {}
        self._listeners: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<EventLog {self.epoch} {self.first}..{self.last}>"

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
        line = self._encode(name, {"epoch": self.epoch, "seq": self.last + 1, "source": source, **data})
        self.last += 1
        self._entries[self.last] = Entry(self.last, name, line)
        self._bytes += len(line)
        while len(self._entries) > self._max_events or self._bytes > self._max_bytes:
            self._bytes -= len(self._entries.pop(self.first).line)
            self.first += 1
        for wake in self._listeners:
            wake()
        return self.last

    def unnumbered(self, name: str, data: dict[str, Any]) -> bytes:
        """An event about the stream itself, which takes no number."""
        return self._encode(name, {"epoch": self.epoch, **data})

    def after(self, seq: int) -> Iterator[Entry]:
        """The kept events with a higher number, oldest first."""
        for number in range(max(seq + 1, self.first), self.last + 1):
            yield self._entries[number]

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each event; returns what ends it."""
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    def _encode(self, name: str, data: dict[str, Any]) -> bytes:
        now = self._clock()
        return encode_event(Event(name, data, int(now), int(now % 1 * 1_000_000)))
