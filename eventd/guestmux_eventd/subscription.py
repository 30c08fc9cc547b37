"""What one host wants to hear of the events, and how far it has heard."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from guestmux_eventd.event_history import EventHistory
from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_pacer import EventPacer
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.journal import READ_EVENTS
from guestmux_eventd.journal.store import Item
from guestmux_eventd.position import Loss, Plan, Since
from guestmux_eventd.stream_state import StreamState
from guestmux_protocol.events import STREAM_EVENTS, VERIFIED
from guestmux_protocol.json_text import encode
from guestmux_protocol.patterns import EventFilter

BATCH_BYTES = 32 * 1024
"""Bytes taken from the log at a time: one write to a virtio-serial port."""

_OF_STORED = frozenset({"overload", "not-stored", "expired"})
"""Why events are lost that are on disk otherwise; no others are among them, apart from those that a crash took."""


class Subscription:
    """A reader of the events.

    It reads from memory at once (`take`), and what memory has no more from the disk (`fetch`).

    Args:
        history: the events.
        state: what beacons tell.
        terms: what the host asks for.
        since: the last event that it has; None: it begins now.
        now: a monotonic clock, in seconds.

    Attributes:
        terms: what the host asks for.
        cursor: the number of the last event that it was given, or did not want.

    Raises:
        CommandFailure: the host's position cannot be.
    """

    def __init__(
        self,
        history: EventHistory,
        state: StreamState,
        terms: Terms,
        since: Since | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.terms = terms
        self.cursor = history.log.last
        self._history = history
        self._log = history.log
        self._state = state
        self._now = now
        self._breaks, self._renewals = history.breaks, history.renewals
        self._ready: list[Entry] = []
        self._dropped = 0
        self._lap = self._told_unstored = 0
        self._unacknowledged: list[int] = []
        self._pacer = EventPacer(terms.rates, now) if terms.rates else None
        self._beacon_at, self._told_state = now(), state.version
        self._mark = encode({"subscription": terms.name})[1:-1] if terms.name else b""
        if since is not None:
            plan = history.plan(since)
            self._go_on(plan)
            if self._pacer and all(loss.first for loss in plan.losses):
                self._repeat(self._pacer, since.seq)

    def __repr__(self) -> str:
        return f"<Subscription {self.terms.name} {self.cursor}/{self._log.last} {self.terms.wanted!r}>"

    @property
    def is_behind(self) -> bool:
        """Whether what comes next is on disk."""
        return self.cursor < self._log.first - 1 or self._breaks != self._history.breaks

    @property
    def is_full(self) -> bool:
        """Whether more has to be acknowledged before more is sent."""
        return bool(self.terms.window) and len(self._unacknowledged) >= self.terms.window

    @property
    def has_more(self) -> bool:
        """Whether there are events that it was not given, and may be now."""
        if self._ready:
            return True
        if self.is_behind:
            return not self._history.frozen and not self.is_full
        return self.cursor < self._log.last and not self.is_full

    @property
    def due(self) -> float | None:
        """When there may be more although no event came, in seconds of the clock; None: never."""
        if not self.terms.beacon and self._pacer is None:
            return None
        beacon = self._beacon_due if self.terms.beacon else None
        late = self._pacer.next_due() if self._pacer and not self.is_full else None
        return late if beacon is None else beacon if late is None else min(beacon, late)

    def has(self, seq: int) -> bool:
        """Whether it was given everything up to an event, and acknowledged it where it has a window."""
        acknowledged = not self._unacknowledged or self._unacknowledged[0] > seq
        return self.cursor >= seq and not self._ready and acknowledged

    def acknowledge(self, seq: int) -> None:
        """The host is done with everything up to an event."""
        del self._unacknowledged[: bisect_right(self._unacknowledged, seq)]

    def wants(self, entry: Entry) -> bool:
        """Whether it passes an event on."""
        return self.terms.admits(entry)

    def forget(self, patterns: Iterable[str]) -> None:
        """Stop passing on what only these patterns asked for."""
        self.terms = self.terms.without(patterns)
        self._withdraw(self.terms.wanted)

    def take(self) -> list[Entry]:
        """The next events to send, about BATCH_BYTES of them; none when memory has no more for the host now."""
        if self._renewals != self._history.renewals:
            self._tell_renewal()
        taken = self._take_ready() if self._ready else []
        if self._ready:
            return taken
        if self._pacer is not None and not self.is_full:
            taken += self._marked(self._pacer.due(BATCH_BYTES))
        if self.terms.beacon:
            self._add_beacon(taken)
        if self.cursor < self._log.last and not self.is_behind and not self.is_full:
            self._read_log(taken)
        return taken

    async def fetch(self) -> None:
        """Read more of what memory has no more, for `take`. Not to be called again before it has ended."""
        if self._breaks != self._history.breaks:
            self._breaks = self._history.breaks
            self._go_on(self._history.plan(Since("", self.cursor)))
        elif self.cursor >= self._lap:
            self._go_on(self._history.left_behind(self.cursor))
        else:
            lap, limit = self._lap, self._room()
            self._pass_on(await self._history.read(self.cursor, lap, limit), lap)

    def _tell_renewal(self) -> None:
        """The host may have heard more than this machine knows of, and under the numbers that come now."""
        self._renewals = self._history.renewals
        self._lose(Loss(0, self.cursor, "rolled-back", Since(self._log.epoch, self.cursor)))

    def _withdraw(self, wanted: EventFilter) -> None:
        """Drop what was read or kept back and has not these names."""
        names = {entry.name for entry in self._ready if entry.name not in wanted} - STREAM_EVENTS
        # Nobody can acknowledge what was not sent.
        gone = {entry.seq for entry in self._ready if entry.name in names}
        self._unacknowledged = [seq for seq in self._unacknowledged if seq not in gone]
        self._ready = [entry for entry in self._ready if entry.name not in names]
        if self._pacer is not None:
            self._pacer.forget(wanted)

    def _take_ready(self) -> list[Entry]:
        """About BATCH_BYTES of what was read or is to be told."""
        size = count = 0
        while count < len(self._ready) and size < BATCH_BYTES:
            size += self._ready[count].size
            count += 1
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken

    def _room(self) -> int:
        return self.terms.window - len(self._unacknowledged) if self.terms.window else READ_EVENTS

    def _read_log(self, taken: list[Entry]) -> None:
        size, wanted = 0, self.terms.wanted
        chosen = self._choose if self._mark or self.terms.window or self._pacer else None
        simple, windowed = self.terms.by_name_alone, bool(self.terms.window)
        for entry in self._log.after(self.cursor):
            self.cursor = entry.seq
            if entry.name in wanted and (simple or self.terms.admits(entry)):
                if chosen is None:
                    taken.append(entry)
                elif not chosen(entry, taken):
                    continue
                size += entry.size
                if size >= BATCH_BYTES or (windowed and self.is_full):
                    break

    def _choose(self, entry: Entry, taken: list[Entry]) -> bool:
        """Take an event unless it is kept back."""
        if self._pacer is not None and not self._pacer.passes(entry):
            return False
        if self.terms.window:
            self._unacknowledged.append(entry.seq)
        taken += self._marked([entry])
        return True

    def _marked(self, entries: list[Entry]) -> list[Entry]:
        return [entry.with_member(self._mark) for entry in entries] if self._mark else entries

    def _pass_on(self, items: list[Item], upto: int) -> None:
        for item in items:
            if isinstance(item, Gap):
                stands = Since(self._history.epoch_at(item.last), item.last)
                self._lose(Loss(item.first, item.last, item.reason, stands))
                self.cursor = item.last
            else:
                self.cursor = item.seq
                if self.terms.admits(item):
                    self._choose(item, self._ready)
        if not items:
            self.cursor = upto

    def _go_on(self, plan: Plan) -> None:
        for loss in plan.losses:
            self._lose(loss)
        # What is not stored in the rest of the lap is left to the journal's gaps: a crash took it.
        self._told_unstored = max((loss.last for loss in plan.losses), default=plan.after)
        self.cursor, self._lap = plan.after, self._log.first - 1

    def _lose(self, loss: Loss) -> None:
        patterns = list(self.terms.wanted.patterns)
        names = patterns
        if loss.unstored:
            names = self.terms.unstored()
        elif loss.reason in _OF_STORED and loss.last <= self._told_unstored:
            names = self.terms.stored()
        if not names:
            return
        self._dropped += loss.last - max(loss.first, 1) + 1
        data: dict[str, Any] = {
            "source": VERIFIED,
            "from": loss.first,
            "to": loss.last,
            "reason": loss.reason,
        }
        if loss.unstored or names != patterns:
            data["names"] = names
        self._ready += self._about_stream("EVENTS_LOST", data, loss.stands)

    @property
    def _beacon_due(self) -> float:
        return self._beacon_at if self._told_state == self._state.version else -math.inf

    def _add_beacon(self, taken: list[Entry]) -> None:
        now = self._now()
        if now < self._beacon_due:
            return
        self._beacon_at, self._told_state = now + self.terms.beacon, self._state.version
        stands = Since(self._history.epoch_at(self.cursor), self.cursor)
        taken += self._about_stream("BEACON", self._state.beacon(self._dropped), stands)

    def _about_stream(self, name: str, data: dict[str, Any], stands: Since) -> list[Entry]:
        return self._marked([self._log.unnumbered(name, data, stands.epoch, stands.seq)])

    def _repeat(self, pacer: EventPacer, upto: int) -> None:
        kept = self._log.between(self._log.first - 1, upto)
        pacer.repeat(entry for entry in kept if pacer.paces(entry.name) and self.terms.admits(entry))
