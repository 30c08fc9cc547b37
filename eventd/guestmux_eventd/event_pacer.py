"""Keeps events back that come more often than a host asked for; the last one of each kind is sent in time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_terms import about
from guestmux_protocol.events import EVERY_ONE
from guestmux_protocol.patterns import EventFilter

MAX_SLOTS = 1024
"""Names and sessions that are told apart: what is beyond is sent as it comes."""

MAX_HELD_BYTES = 4 << 20
"""Bytes of events that are kept back, where they are large: what is beyond is sent as it comes."""

LATE = b'"late": true'
"""What the data of an event begins with that is sent behind ones with higher numbers."""


class _Slot:
    """One name in one session."""

    __slots__ = ("free_at", "held", "period")

    def __init__(self, period: float) -> None:
        self.period = period
        self.free_at = 0.0
        self.held: Entry | None = None


class EventPacer:
    """Paces events by name and session.

    Args:
        rates: globs, and how many events a second each name that they match may have.
        now: a monotonic clock, in seconds.
    """

    def __init__(self, rates: Sequence[tuple[EventFilter, float]], now: Callable[[], float]) -> None:
        self._rates = rates
        self._now = now
        self._slots: dict[Hashable, _Slot] = {}
        self._holding = 0
        self._held_bytes = 0

    def __repr__(self) -> str:
        return f"<EventPacer {self._holding} held>"

    def paces(self, name: str) -> bool:
        """Whether events of a name have a rate."""
        return bool(self._rate(name))

    def passes(self, entry: Entry) -> bool:
        """Whether an event may go out now; if not it is kept, and what was kept of its kind is forgotten."""
        slot = self._slot(entry)
        if slot is None:
            return True
        now = self._now()
        too_much = self._held_bytes >= MAX_HELD_BYTES
        if slot.held is not None and too_much:
            self._let_go(slot)
        if slot.held is None and (now >= slot.free_at or too_much):
            slot.free_at = now + slot.period
            return True
        self._hold(slot, entry)
        return False

    def repeat(self, entries: Iterable[Entry]) -> None:
        """Have the last of each kind sent again, late: what was kept back when a connection ended is among them.

        Args:
            entries: from memory, which bounds how many there are and what they take.
        """
        for entry in entries:
            key = _kind(entry)
            self._hold(self._slots.setdefault(key, _Slot(1 / self._rate(entry.name))), entry)

    def forget(self, wanted: EventFilter) -> None:
        """Keep back only what has these names."""
        for slot in self._slots.values():
            if slot.held is not None and slot.held.name not in wanted:
                self._let_go(slot)

    def due(self, limit: int) -> list[Entry]:
        """What was kept and may go out now, with LATE: the oldest first, some `limit` bytes of it."""
        if not self._holding:
            return []
        now, taken = self._now(), []
        free = [slot for slot in self._slots.values() if slot.held is not None and now >= slot.free_at]
        for slot in sorted(free, key=_held_seq):
            if limit <= 0:
                break
            entry = self._let_go(slot)
            slot.free_at = now + slot.period
            limit -= entry.size
            taken.append(entry.with_member(LATE))
        return taken

    def next_due(self) -> float | None:
        """When `due` has something; None: there is nothing."""
        if not self._holding:
            return None
        return min(slot.free_at for slot in self._slots.values() if slot.held is not None)

    def _hold(self, slot: _Slot, entry: Entry) -> None:
        if slot.held is not None:
            self._let_go(slot)
        slot.held = entry
        self._holding += 1
        self._held_bytes += entry.size

    def _let_go(self, slot: _Slot) -> Entry:
        entry, slot.held = slot.held, None
        assert entry is not None
        self._holding -= 1
        self._held_bytes -= entry.size
        return entry

    def _slot(self, entry: Entry) -> _Slot | None:
        rate = self._rate(entry.name)
        if not rate:
            return None
        key = _kind(entry)
        slot = self._slots.get(key)
        if slot is None and (len(self._slots) < MAX_SLOTS or self._forget_idle()):
            slot = self._slots[key] = _Slot(1 / rate)
        return slot

    def _rate(self, name: str) -> float:
        if name in EVERY_ONE:
            return 0.0
        return next((rate for names, rate in self._rates if name in names), 0.0)

    def _forget_idle(self) -> bool:
        now = self._now()
        self._slots = {
            key: slot for key, slot in self._slots.items() if slot.held is not None or slot.free_at > now
        }
        return len(self._slots) < MAX_SLOTS


def _kind(entry: Entry) -> Hashable:
    return entry.name, str(about(entry)[0])


def _held_seq(slot: _Slot) -> int:
    return slot.held.seq if slot.held else 0
