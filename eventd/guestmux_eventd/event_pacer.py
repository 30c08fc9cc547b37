"""Keeps events back that come more often than a host asked for; the last one of each kind is sent in time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_terms import about
from guestmux_protocol.events import EVERY_ONE
from guestmux_protocol.patterns import EventFilter

MAX_SLOTS = 1024
"""Names and sessions that are told apart: what is beyond is sent as it comes."""

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

    def __repr__(self) -> str:
        return f"<EventPacer {self._holding} held>"

    def passes(self, entry: Entry) -> bool:
        """Whether an event may go out now; if not it is kept, and what was kept of its kind is forgotten."""
        slot = self._slot(entry)
        if slot is None:
            return True
        now = self._now()
        if slot.held is None and now >= slot.free_at:
            slot.free_at = now + slot.period
            return True
        self._holding += slot.held is None
        slot.held = entry
        return False

    def repeat(self, entries: Iterable[Entry]) -> None:
        """Have the last of each kind sent again, late: what was kept back when a connection ended is among them."""
        for entry in entries:
            if slot := self._slot(entry):
                self._holding += slot.held is None
                slot.held = entry

    def due(self) -> list[Entry]:
        """What was kept and may go out now, with LATE."""
        if not self._holding:
            return []
        now, taken = self._now(), []
        for slot in self._slots.values():
            if slot.held is not None and now >= slot.free_at:
                taken.append(slot.held.with_member(LATE))
                slot.held, slot.free_at = None, now + slot.period
        self._holding -= len(taken)
        return sorted(taken, key=lambda entry: entry.seq)

    def next_due(self) -> float | None:
        """When `due` has something; None: there is nothing."""
        if not self._holding:
            return None
        return min(slot.free_at for slot in self._slots.values() if slot.held is not None)

    def _slot(self, entry: Entry) -> _Slot | None:
        rate = self._rate(entry.name)
        if not rate:
            return None
        key = (entry.name, str(about(entry)[0]))
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
