"""What a stream of events yields: the events, and what became of the stream itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from guestmux_protocol import messages
from guestmux_protocol.commands import Position, Snapshot

EVENTS_LOST = "EVENTS_LOST"


class Event(Struct, frozen=True):
    """Something that happened in the guest.

    Args:
        name: as `SESSION_LOGIN`.
        data: its members as they came, `epoch`, `seq` and `source` among them.
        seconds: the guest's wall clock, since the epoch; -1 when its clock failed.
        microseconds: the rest.
    """

    name: str
    data: dict[str, Any]
    seconds: int = -1
    microseconds: int = 0

    @property
    def epoch(self) -> str:
        """The identity of the journal that numbered it; empty where the guest gave none."""
        epoch = self.data.get("epoch")
        return epoch if isinstance(epoch, str) else ""

    @property
    def seq(self) -> int | None:
        """Its number in that journal."""
        seq = self.data.get("seq")
        return seq if type(seq) is int else None

    @property
    def source(self) -> str:
        """`verified`: eventd saw it itself. `claimed`: an agent says so."""
        return "verified" if self.data.get("source") == "verified" else "claimed"

    @property
    def time(self) -> datetime | None:
        """When it happened by the guest's clock, in UTC; None when that is no date."""
        try:
            return datetime.fromtimestamp(self.seconds, UTC).replace(microsecond=self.microseconds)
        except (OverflowError, OSError, ValueError):
            return None


class Gap(Struct, frozen=True):
    """Events that will not come. Ask for the state again if it matters.

    Args:
        first: the first number that is missing; 0 where nobody knows the numbers.
        last: the last number that is missing; 0 likewise.
        reason: the guest's word (`slow-reader`, `expired`, `new-epoch`), or `slow-consumer`: this
            stream was not read fast enough, and what did not fit its queue was dropped.
        count: how many were dropped here; 0 where the guest knows no number, as its filter hides some.
    """

    first: int
    last: int
    reason: str
    count: int = 0


class Disconnected(Struct, frozen=True):
    """The connection is gone, or the guest's side restarted; the stream goes on when it is back."""

    reason: str


class Reconnected(Struct, frozen=True):
    """The connection is back.

    Args:
        epoch: the guest's journal.
        seq: its latest event. Events that follow with a number up to this one were missed meanwhile;
            the snapshot has their effects already.
        snapshot: the sessions as they are now.
        resumed: True when it is the journal from before, so that nothing is lost unless a Gap says so.
            False when the guest's journal began anew.
    """

    epoch: str
    seq: int
    snapshot: Snapshot
    resumed: bool


Item = Event | Gap | Disconnected | Reconnected
"""What a stream yields."""


def from_wire(message: messages.Event) -> Event:
    """An event as consumers get it."""
    return Event(message.name, message.data, message.seconds, message.microseconds)


def gap_from(event: Event, after: Position) -> Gap | None:
    """What an EVENTS_LOST means to a stream that has everything up to `after`; None: nothing."""
    first, last = event.data.get("from"), event.data.get("to")
    if type(first) is not int or type(last) is not int:
        return Gap(0, 0, str(event.data.get("reason", "unknown")))
    if event.epoch == after.epoch:
        first = max(first, after.seq + 1)
        if first > last:
            return None
    known = first <= last
    return Gap(first if known else 0, last if known else 0, str(event.data.get("reason", "unknown")))
