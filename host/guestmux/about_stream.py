"""What the guest says of the stream itself: EVENTS_LOST and BEACON."""

from __future__ import annotations

import msgspec

from guestmux.event import Beacon, Event, Gap
from guestmux_protocol.commands import Position
from guestmux_protocol.patterns import EventFilter

EVENTS_LOST, BEACON = "EVENTS_LOST", "BEACON"

STREAM_EVENTS = frozenset({EVENTS_LOST, BEACON})
"""Events that have no number of their own; theirs says where the stream stands."""

ROLLED_BACK = "rolled-back"

_BREAKS = frozenset({"new-epoch", ROLLED_BACK})
"""Reasons after which numbers begin anew: they may be lower than those before."""


class Loss:
    """One EVENTS_LOST.

    Args:
        event: it, as it came.

    Attributes:
        reason: the guest's word.
        stands: where a stream stands that has heard it; None where the guest does not say.
        breaks: whether the numbers before mean nothing any more.
    """

    def __init__(self, event: Event) -> None:
        data = event.data
        first, last, names = data.get("from"), data.get("to"), data.get("names")
        self.reason = str(data.get("reason", "unknown"))
        self.breaks = self.reason in _BREAKS
        self.stands = None if event.seq is None else Position(epoch=event.epoch, seq=event.seq)
        self._numbers = (first, last) if type(first) is int and type(last) is int else None
        self._names = frozenset(map(str, names)) if type(names) is list else None

    def __repr__(self) -> str:
        return f"<Loss {self.reason} {self._numbers} {self.stands}>"

    def gap(self, reached: int, wanted: EventFilter, *, exact: bool = True) -> Gap | None:
        """What is lost to a stream; None: nothing.

        Args:
            reached: the last number that the stream has.
            wanted: its patterns.
            exact: whether the guest was asked with these patterns, so that it names each that matters.
        """
        names = tuple(name for name in wanted.patterns if self._names and name in self._names)
        if self._names and not names and exact:
            return None
        if self._numbers is None:
            return Gap(0, 0, self.reason, names=names)
        first, last = self._numbers
        if not self.breaks:
            first = max(first, reached + 1)
            if first > last:
                return None
        known = first <= last
        return Gap(first if known else 0, last if known else 0, self.reason, names=names)


def beacon_from(event: Event) -> Beacon:
    """A BEACON as consumers get it; what the guest does not say is as where all is well."""
    members = {name: event.data[name] for name in Beacon.__struct_fields__ if name in event.data}
    try:
        return msgspec.convert({"epoch": event.epoch, "seq": event.seq or 0, **members}, Beacon)
    except msgspec.ValidationError:
        return Beacon(event.epoch, event.seq or 0)
