"""The order in which events come by one subscription: what an honest guest sends goes back for few reasons."""

from __future__ import annotations

from collections.abc import Sequence

from guestmux.about_stream import EVENTS_LOST, STREAM_EVENTS, Loss
from guestmux.event import Event, SizedEvent
from guestmux_protocol.commands import Position


class Arrivals:
    """The numbers that came by a subscription on one connection.

    They go up. They may go back where EVENTS_LOST says so, and once for each time that the guest was asked anew: it
    begins again behind `since`, and in mux its answer overtakes what it had sent before. Late events stand where they
    like. Whatever else goes back comes from a guest whose memory was set back under the connection: it gives out again
    what it gave out already.
    """

    def __init__(self) -> None:
        self._highest = -1
        self._latest = 0
        self._repeats = 0
        self._repeats_after = 0

    def __repr__(self) -> str:
        return f"<Arrivals {self._highest} repeats={self._repeats}>"

    def answered(self, latest: int, since: int | None) -> None:
        """The guest answered a subscription.

        Args:
            latest: the number of its latest event.
            since: the number that it was asked to begin behind; None: the latest.
        """
        after = latest if since is None else min(since, latest)
        if self._highest < 0:
            self._highest = after
        elif after < latest:
            self._repeats_after = min(after, self._repeats_after) if self._repeats else after
            self._repeats += 1
        self._latest = latest

    def take(self, events: Sequence[SizedEvent]) -> int | None:
        """Note events; gives the index of the first that cannot be, which nothing behind it is looked at for."""
        highest = self._highest
        for index, (event, _) in enumerate(events):
            seq = event.seq
            if seq is None:
                continue
            if seq > highest:
                highest = seq
            elif not _stands_where_it_likes(event, highest):
                if not self._may_go_back(event, seq, highest):
                    return index
                highest = seq
        self._highest = highest
        return None

    def _may_go_back(self, event: Event, seq: int, highest: int) -> bool:
        if event.name == EVENTS_LOST and Loss(event).breaks:
            return True
        if highest > self._latest:
            # Only what the guest was asked for last can have come so far.
            self._repeats = 0
        if not self._repeats or seq < self._repeats_after + (event.name not in STREAM_EVENTS):
            return False
        self._repeats -= 1
        return True


def last_certain(event: Event) -> Position:
    """Up to where a guest that sent this, though it cannot be, has nothing to tell any more."""
    first = event.data.get("from") if event.name == EVENTS_LOST else None
    before = event.seq or 0
    if type(first) is int:
        before = min(before, first - 1)
    elif event.name not in STREAM_EVENTS:
        before -= 1
    return Position(epoch=event.epoch, seq=max(before, 0))


def _stands_where_it_likes(event: Event, highest: int) -> bool:
    if event.name in STREAM_EVENTS:
        return event.seq == highest
    return event.data.get("late") is True
