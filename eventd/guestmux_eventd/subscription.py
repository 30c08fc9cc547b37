"""What one host wants to hear of the event log, and how far it has heard."""

from __future__ import annotations

from collections.abc import Iterable

from guestmux_eventd.event_log import Entry, EventLog
from guestmux_protocol.events import VERIFIED
from guestmux_protocol.patterns import EventFilter

BATCH_BYTES = 32 * 1024
"""Bytes taken from the log at a time: one write to a virtio-serial port."""


class Subscription:
    """A reader of the event log.

    Args:
        log: the log.
        wanted: which names to pass on.
        cursor: the number of the last event that the host has.
        epoch: the log that the cursor counts in; another log's cursor is told as a gap.
    """

    def __init__(self, log: EventLog, wanted: EventFilter, cursor: int, epoch: str) -> None:
        self.wanted = wanted
        self.cursor = cursor
        self._log = log
        self._notices: list[Entry] = []
        if epoch != log.epoch:
            # No event has the number 0: it stands for those of the other epoch, which nobody can count.
            self._lose(0, log.first - 1, "new-epoch")
            self.cursor = log.first - 1

    def __repr__(self) -> str:
        return f"<Subscription {self.cursor}/{self._log.last} {self.wanted!r}>"

    def take(self) -> list[Entry]:
        """The next events to send, about BATCH_BYTES of them; none when the host has everything."""
        if self.cursor < self._log.first - 1:
            self._lose(self.cursor + 1, self._log.first - 1, "slow-reader")
            self.cursor = self._log.first - 1
        taken, self._notices = self._notices, []
        size, wanted = 0, self.wanted
        for entry in self._log.after(self.cursor):
            self.cursor = entry.seq
            if entry.name in wanted:
                taken.append(entry)
                size += entry.size
                if size >= BATCH_BYTES:
                    break
        return taken

    def forget(self, patterns: Iterable[str]) -> None:
        """Stop passing on what only these patterns asked for."""
        self.wanted = self.wanted.without(patterns)

    def _lose(self, first: int, last: int, reason: str) -> None:
        data = {"source": VERIFIED, "from": first, "to": last, "reason": reason}
        self._notices.append(self._log.unnumbered("EVENTS_LOST", data, last))
