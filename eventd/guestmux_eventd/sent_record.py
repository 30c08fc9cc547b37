"""Which events were sent to which ports: remembered by subscription, so that an event costs nothing."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from guestmux_eventd.event_log import Entry, EventLog

MAX_ENDED = 256
"""Subscriptions that are over and still known. Those of which memory has no event any more go first."""


class Terms(Protocol):
    """What a subscription asks for; it does not change."""

    def admits(self, entry: Entry) -> bool:
        """Whether an event is asked for."""


class Reader(Protocol):
    """A subscription."""

    @property
    def cursor(self) -> int:
        """The number of the last event that it was given, or did not want."""

    @property
    def terms(self) -> Terms:
        """What it asks for now."""


class Sending:
    """What one subscription was sent, as long as its terms stayed the same.

    Attributes:
        port: the address of the port that its host was on.
        dialect: what was spoken there.
        first: the number behind which it began.
    """

    __slots__ = ("_last", "_reader", "_terms", "dialect", "first", "port")

    def __init__(self, port: str, dialect: str, reader: Reader) -> None:
        self.port = port
        self.dialect = dialect
        self.first = reader.cursor
        self._reader: Reader | None = reader
        self._terms = reader.terms
        self._last = 0

    def __repr__(self) -> str:
        return f"<Sending {self.port} {self.first}..{self.last}{' over' if self.over else ''}>"

    @property
    def over(self) -> bool:
        """Whether it gets no more."""
        return self._reader is None

    @property
    def last(self) -> int:
        """The number up to which it was sent what it asked for."""
        return self._last if self._reader is None else self._reader.cursor

    def end(self) -> None:
        """It gets no more."""
        self._last = self.last
        self._reader = None

    def sent(self, entry: Entry) -> bool | None:
        """Whether it was sent an event; None: it will be."""
        if entry.seq <= self.first or not self._terms.admits(entry):
            return False
        if entry.seq <= self.last:
            return True
        return False if self.over else None


class SentRecord:
    """The subscriptions that hosts have, and those that they had last.

    Args:
        log: the events in memory; what was sent of others is not known.

    Attributes:
        unknown: the number up to which subscriptions that are over may be missing here.
    """

    def __init__(self, log: EventLog) -> None:
        self.unknown = 0
        self._log = log
        self._open: dict[Reader, Sending] = {}
        self._ended: deque[Sending] = deque()

    def __repr__(self) -> str:
        return f"<SentRecord {len(self._open)} open, {len(self._ended)} over>"

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)

    def opened(self, *, port: str, dialect: str, subscription: Reader) -> None:
        """A host subscribed. To be called before the subscription takes anything, and again when its terms change."""
        self._close(subscription)
        self._open[subscription] = Sending(port, dialect, subscription)

    def closed(self, subscription: Reader) -> None:
        """A subscription is over."""
        self._close(subscription)
        oldest = self._log.first
        while self._ended and (self._ended[0].last < oldest or len(self._ended) > MAX_ENDED):
            gone = self._ended.popleft()
            if gone.last >= oldest:
                self.unknown = max(self.unknown, gone.last)

    def receivers(self, entry: Entry) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """The ports, each with its dialect, that an event was sent to, and those that it will be sent to."""
        sent: dict[tuple[str, str], None] = {}
        waiting: dict[tuple[str, str], None] = {}
        for sending in (*self._ended, *self._open.values()):
            found = sending.sent(entry)
            if found is not False:
                (sent if found else waiting)[sending.port, sending.dialect] = None
        return list(sent), [each for each in waiting if each not in sent]

    def to(self, port: str, dialect: str) -> Receiver:
        """What tells of the subscriptions of one host connection."""
        return Receiver(self, port, dialect)

    def _close(self, subscription: Reader) -> None:
        if sending := self._open.pop(subscription, None):
            sending.end()
            if sending.last > sending.first:
                self._ended.append(sending)


class Receiver:
    """A host connection whose subscriptions are put on record.

    Args:
        record: where.
        port: the address of its port.
        dialect: what is spoken there.
    """

    def __init__(self, record: SentRecord, port: str, dialect: str) -> None:
        self._record = record
        self._port = port
        self._dialect = dialect

    def opened(self, subscription: Reader) -> None:
        """It has a subscription, or other terms for one."""
        self._record.opened(port=self._port, dialect=self._dialect, subscription=subscription)

    def closed(self, subscription: Reader) -> None:
        """A subscription is over."""
        self._record.closed(subscription)
